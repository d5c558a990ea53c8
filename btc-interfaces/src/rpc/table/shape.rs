//! What a method gives, as data: from it come the help, the OpenRPC document and the check that `-rpcdoccheck` asks for.
//!
//! ```
//! use btc_interfaces::rpc::table::Shape;
//! use serde_json::json;
//!
//! const TIP: Shape = Shape::object("", "The tip", &[
//!     Shape::hex("hash", "Its hash"),
//!     Shape::number("height", "Its height"),
//!     Shape::time("time", "Its time").optional(),
//! ]);
//! assert_eq!(TIP.mismatch(&json!({"hash": "00", "height": 7})), None);
//! assert_eq!(
//!     TIP.mismatch(&json!({"hash": "00"})),
//!     Some(json!({"height": "key missing, despite not being optional in doc"})),
//! );
//! ```

mod check;

/// What a method gives, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The JSON type, and what it stands for.
    pub form: Form,
    /// Its key in the object around it; empty elsewhere.
    pub name: &'static str,
    /// Whether the object around it may lack it.
    pub optional: bool,
    /// What it means.
    pub about: &'static str,
    /// An object's fields, an array's elements, the values of a map.
    pub inner: &'static [Self],
    /// When a call gives this rather than another result of its method; empty for always.
    pub when: &'static str,
    /// Whether `-rpcdoccheck` leaves it alone.
    pub unchecked: bool,
    /// Whether the help leaves it out.
    pub hidden: bool,
}

/// The JSON type of a result or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A string.
    String,
    /// A string of hexadecimal digits.
    Hex,
    /// A number.
    Number,
    /// A number that is an amount in BTC or a feerate.
    Amount,
    /// A number of seconds since 1970.
    Time,
    /// A boolean.
    Bool,
    /// Null.
    Null,
    /// Anything.
    Any,
    /// An array of any length. Where several elements are told, the last one stands for all that follow.
    Array,
    /// An array of just these elements.
    Tuple,
    /// An object of just these fields.
    Object,
    /// An object whose keys are data; its values are of one shape.
    Map,
    /// Fields that stand in the object around them. With words of what they are, the help shows these instead.
    Fields,
}

impl Shape {
    const fn new(form: Form, name: &'static str, about: &'static str) -> Self {
        Self {
            form,
            name,
            optional: false,
            about,
            inner: &[],
            when: "",
            unchecked: false,
            hidden: false,
        }
    }

    const fn with(
        form: Form,
        name: &'static str,
        about: &'static str,
        inner: &'static [Self],
    ) -> Self {
        let mut shape = Self::new(form, name, about);
        shape.inner = inner;
        shape
    }

    /// A string.
    pub const fn string(name: &'static str, about: &'static str) -> Self {
        Self::new(Form::String, name, about)
    }

    /// A string of hexadecimal digits.
    pub const fn hex(name: &'static str, about: &'static str) -> Self {
        Self::new(Form::Hex, name, about)
    }

    /// A number.
    pub const fn number(name: &'static str, about: &'static str) -> Self {
        Self::new(Form::Number, name, about)
    }

    /// An amount in BTC or a feerate.
    pub const fn amount(name: &'static str, about: &'static str) -> Self {
        Self::new(Form::Amount, name, about)
    }

    /// Seconds since 1970.
    pub const fn time(name: &'static str, about: &'static str) -> Self {
        Self::new(Form::Time, name, about)
    }

    /// A boolean.
    pub const fn bool(name: &'static str, about: &'static str) -> Self {
        Self::new(Form::Bool, name, about)
    }

    /// Null, a result of nothing.
    pub const fn null() -> Self {
        Self::new(Form::Null, "", "")
    }

    /// Anything.
    pub const fn any(name: &'static str, about: &'static str) -> Self {
        Self::new(Form::Any, name, about)
    }

    /// An array of such elements; of several shapes the last one stands for all that follow.
    pub const fn array(name: &'static str, about: &'static str, elements: &'static [Self]) -> Self {
        Self::with(Form::Array, name, about, elements)
    }

    /// An array of just these elements.
    pub const fn tuple(name: &'static str, about: &'static str, elements: &'static [Self]) -> Self {
        Self::with(Form::Tuple, name, about, elements)
    }

    /// An object of these fields.
    pub const fn object(name: &'static str, about: &'static str, fields: &'static [Self]) -> Self {
        Self::with(Form::Object, name, about, fields)
    }

    /// An object whose keys are data, and whose values are of this shape. The value's name stands for the key.
    pub const fn map(name: &'static str, about: &'static str, value: &'static [Self; 1]) -> Self {
        Self::with(Form::Map, name, about, value)
    }

    /// These fields, in the object around them.
    pub const fn fields(fields: &'static [Self]) -> Self {
        Self::with(Form::Fields, "", "", fields)
    }

    /// These fields, in the object around them; the help says only `about` of them.
    pub const fn elided(about: &'static str, fields: &'static [Self]) -> Self {
        Self::with(Form::Fields, "", about, fields)
    }

    /// The same, but it may be lacking.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same, as a result that a method gives only then.
    #[must_use]
    pub const fn when(mut self, when: &'static str) -> Self {
        self.when = when;
        self
    }

    /// The same, which `-rpcdoccheck` leaves alone.
    #[must_use]
    pub const fn unchecked(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// The same, left out of the help.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// The fields of an object, with those that stand in it as a group.
    pub(super) fn flat_fields(&self) -> Vec<&'static Self> {
        fn push(fields: &'static [Shape], into: &mut Vec<&'static Shape>) {
            for field in fields {
                if field.form == Form::Fields {
                    push(field.inner, into);
                } else {
                    into.push(field);
                }
            }
        }
        let mut fields = Vec::new();
        push(self.inner, &mut fields);
        fields
    }
}
