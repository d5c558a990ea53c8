//! Names as Rust and as a schema spell them.

use proc_macro2::TokenStream;
use quote::quote;

/// `wait_tip_changed` as `waitTipChanged`.
pub(crate) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        if letter == '_' {
            upper = !out.is_empty();
        } else if upper {
            out.extend(letter.to_uppercase());
            upper = false;
        } else {
            out.push(letter);
        }
    }
    out
}

/// What `mp_core::__private::Member` has to say of a parameter or a field that is called `name` in Rust.
pub(crate) fn member(
    name: &str,
    kind: &TokenStream,
    optional: &TokenStream,
    secret: bool,
) -> TokenStream {
    let schema_name = camel(name);
    let rust_has = format!("has_{name}");
    let schema_has = camel(&rust_has);
    quote! {
        ::mp_core::__private::Member {
            name: #schema_name,
            rust_name: #name,
            has: (#schema_has, #rust_has),
            kind: #kind,
            optional: #optional,
            secret: #secret,
            exception: "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::camel;

    #[test]
    fn camel_case() {
        assert_eq!(camel("wait_tip_changed"), "waitTipChanged");
        assert_eq!(camel("echo"), "echo");
        assert_eq!(camel("_hidden"), "hidden");
    }
}
