//! The interface that is measured. `libmultiprocess/bench.capnp` says the same for programs in other languages.

use std::sync::Arc;

use mp_core::Error;

pub struct Codec;

/// What the peer does, without doing anything.
#[mp_core::interface(codec = Codec, id = 0x9d1c_0f4e_62b8_a701, root, async_twin)]
pub trait Bench: Send + Sync {
    /// On the thread that stands for the caller's.
    #[mp(ordinal = 1)]
    fn ping(&self, n: u64) -> Result<u64, Error>;
    /// On the connection's own thread.
    #[mp(direct, ordinal = 2)]
    fn ping_direct(&self, n: u64) -> Result<u64, Error>;
    #[mp(ordinal = 3)]
    fn echo(&self, data: Vec<u8>) -> Result<Vec<u8>, Error>;
    /// Calls back once.
    #[mp(ordinal = 4)]
    fn call_back(&self, callback: Arc<dyn Callback>, n: u64) -> Result<u64, Error>;
    #[mp(ordinal = 5)]
    fn make_object(&self) -> Result<Arc<dyn Object>, Error>;
    #[mp(ordinal = 6)]
    fn make_echo(&self) -> Result<Arc<dyn Echo>, Error>;
}

#[mp_core::interface(codec = Codec, id = 0xb3a7_51c8_0e94_d602)]
pub trait Callback: Send + Sync {
    fn call(&self, n: u64) -> Result<u64, Error>;
}

/// Something to hold and to let go of.
#[mp_core::interface(codec = Codec, id = 0xe0f2_8b16_7d35_c403)]
pub trait Object: Send + Sync {
    fn number(&self) -> Result<u64, Error>;
}

/// What `--socket` connects to.
#[mp_core::interface(codec = Codec, id = 0x8838_c700_ba5c_ba65, root)]
pub trait EchoMaker: Send + Sync {
    #[mp(ordinal = 1)]
    fn make_echo(&self) -> Result<Arc<dyn Echo>, Error>;
}

#[mp_core::interface(codec = Codec, id = 0xd36b_8964_0dc9_4399)]
pub trait Echo: Send + Sync {
    #[mp(ordinal = 1)]
    fn echo(&self, text: String) -> Result<String, Error>;
}

pub struct Server;

impl Bench for Server {
    fn ping(&self, n: u64) -> Result<u64, Error> {
        Ok(n)
    }
    fn ping_direct(&self, n: u64) -> Result<u64, Error> {
        Ok(n)
    }
    fn echo(&self, data: Vec<u8>) -> Result<Vec<u8>, Error> {
        Ok(data)
    }
    fn call_back(&self, callback: Arc<dyn Callback>, n: u64) -> Result<u64, Error> {
        callback.call(n)
    }
    fn make_object(&self) -> Result<Arc<dyn Object>, Error> {
        Ok(Arc::new(Held))
    }
    fn make_echo(&self) -> Result<Arc<dyn Echo>, Error> {
        Ok(Arc::new(Held))
    }
}

struct Held;

impl Object for Held {
    fn number(&self) -> Result<u64, Error> {
        Ok(1)
    }
}

impl Echo for Held {
    fn echo(&self, text: String) -> Result<String, Error> {
        Ok(text)
    }
}
