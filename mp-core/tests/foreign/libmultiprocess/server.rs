//! The object that the other side calls. What the numbers of `call_int_fn_async` ask for is told in `peer.cpp`.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};

use mp_core::Error;

use crate::interface::*;

#[derive(Default)]
pub struct Server {
    saved: Mutex<Option<Arc<dyn Callback>>>,
    waiting: Mutex<bool>,
    changed: Condvar,
}

impl Foo for Server {
    fn add(&self, a: i32, b: i32) -> Result<i32, Error> {
        Ok(a + b)
    }
    fn add_out(&self, a: i32, b: i32) -> Result<Out, Error> {
        Ok(Out { ret: a + b })
    }
    fn add_in_out(&self, x: i32, sum: i32) -> Result<InOut, Error> {
        Ok(InOut { sum: sum + x })
    }
    fn map_size(&self, map: BTreeMap<String, String>) -> Result<i32, Error> {
        Ok(map.len() as i32)
    }
    fn pass(&self, arg: Struct) -> Result<Struct, Error> {
        Ok(arg)
    }
    fn raise(&self, arg: Struct) -> Result<Result<(), Struct>, Error> {
        Ok(Err(arg))
    }
    fn callback(&self, callback: Arc<dyn Callback>, arg: i32) -> Result<i32, Error> {
        callback.call(arg)
    }
    fn callback_unique(&self, callback: Arc<dyn Callback>, arg: i32) -> Result<i32, Error> {
        callback.call(arg)
    }
    fn callback_shared(&self, callback: Arc<dyn Callback>, arg: i32) -> Result<i32, Error> {
        callback.call(arg)
    }
    fn save_callback(&self, callback: Option<Arc<dyn Callback>>) -> Result<(), Error> {
        let old = std::mem::replace(&mut *self.saved.lock().unwrap(), callback);
        drop(old);
        Ok(())
    }
    fn callback_saved(&self, arg: i32) -> Result<i32, Error> {
        let saved = self.saved.lock().unwrap().clone();
        saved
            .ok_or_else(|| Error::failed("nothing is saved"))?
            .call(arg)
    }
    fn callback_extended(&self, callback: Arc<dyn Extended>, arg: i32) -> Result<i32, Error> {
        callback.call_extended(arg)
    }
    fn pass_custom(&self, arg: Custom) -> Result<Custom, Error> {
        Ok(arg)
    }
    fn pass_empty(&self, arg: Empty) -> Result<Empty, Error> {
        Ok(arg)
    }
    fn pass_data(&self, arg: Vec<u8>) -> Result<Vec<u8>, Error> {
        Ok(arg)
    }
    fn pass_message(&self, arg: Words) -> Result<Words, Error> {
        Ok(Words {
            message: arg.message + " call",
        })
    }
    fn pass_mutable(&self, arg: Changed) -> Result<Mutable, Error> {
        Ok(Mutable {
            arg: Changed {
                message: arg.message + " call",
            },
        })
    }
    fn pass_enum(&self, arg: i32) -> Result<i32, Error> {
        Ok(arg)
    }
    fn pass_double(&self, arg: f64) -> Result<f64, Error> {
        Ok(arg)
    }
    fn pass_fn(&self, function: Arc<dyn Function>) -> Result<i32, Error> {
        function.call()
    }
    fn call_fn(&self) -> Result<(), Error> {
        Ok(())
    }
    fn call_fn_async(&self) -> Result<(), Error> {
        Ok(())
    }
    fn call_int_fn_async(&self, arg: i32) -> Result<i32, Error> {
        match arg {
            -1 => return Err(Error::failed("less than nothing")),
            -2 => std::process::exit(7),
            -3 => return Ok(rustix::thread::gettid().as_raw_nonzero().get()),
            _ => {}
        }
        let mut waiting = self.waiting.lock().unwrap();
        if arg == -6 {
            return Ok(i32::from(*waiting));
        }
        if arg == -4 || arg == -5 {
            *waiting = arg == -4;
            self.changed.notify_all();
        }
        while arg == -4 && *waiting {
            waiting = self.changed.wait(waiting).unwrap();
        }
        Ok(arg)
    }
    fn pass_data_pointers(&self, arg: Vec<Option<Vec<u8>>>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        Ok(arg)
    }
}
