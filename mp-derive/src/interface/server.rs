//! The server's part.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, Type};

use super::method::{Method, param_const, plan_const};
use super::plans::param_plan;

/// The server's part: reads the parameters, calls the object, writes the results.
pub(super) fn server_arm(codec: &Type, interface: &Ident, method: &Method<'_>) -> TokenStream {
    let plan = plan_const(method);
    let name = &method.name;
    let output = method.output;
    let plans = method
        .params
        .iter()
        .map(|param| param_plan(interface, codec, method, param));
    let reads = method.params.iter().map(|param| {
        let constant = param_const(method, param);
        let (name, owned) = (&param.name, &param.owned);
        quote!(let #name: #owned = call.param::<#codec, #owned>(&#constant)?;)
    });
    let pass = method.params.iter().map(|param| {
        let name = &param.name;
        if param.borrowed {
            quote!(&#name)
        } else {
            quote!(#name)
        }
    });
    quote! {
        if let ::core::option::Option::Some(__plan) = const { #plan.as_ref() } {
            if ordinal == __plan.method.ordinal {
                #(#plans)*
                #(#reads)*
                let __outcome: #output = #interface::#name(&**this, #(#pass),*);
                return call.finish::<#codec, #output>(__outcome, __plan);
            }
        }
    }
}
