//! The caller that does not wait: the asynchronous twin of a trait.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, Type, Visibility, parse_quote};

use super::method::{Method, plan_const};
use super::plans::param_plan;
use super::proxy::{param_writes, plain_signature};

/// The asynchronous twin: a struct, and its methods, which are written where the plans are.
pub(super) fn twin(
    vis: &Visibility,
    interface: &Ident,
    codec: &Type,
    methods: &[Method<'_>],
) -> (TokenStream, TokenStream) {
    let twin = format_ident!("{interface}Async");
    let doc = format!(
        "Calls an object of another process without waiting: the methods of `{interface}`, each of which sends its call at once and gives a future of the reply."
    );
    let doc_new =
        format!("The twin of a proxy. An error says that the `{interface}` is of this process.");
    let structure = quote! {
        #[doc = #doc]
        #[allow(dead_code)]
        #[derive(Clone, Debug)]
        #vis struct #twin(::mp_core::AsyncProxy<dyn #interface>);
    };
    let calls = methods.iter().map(|method| {
        let kept = method.item.attrs.iter().filter(|attribute| {
            ["cfg", "doc", "deprecated"]
                .iter()
                .any(|known| attribute.path().is_ident(known))
        });
        let plan = plan_const(method);
        let output = method.output;
        let plans = method
            .params
            .iter()
            .map(|param| param_plan(interface, codec, method, param));
        let writes = param_writes(codec, method);
        let mut signature = plain_signature(&method.item.sig);
        signature.output = parse_quote!(-> ::mp_core::Pending<#output>);
        quote! {
            #(#kept)*
            #vis #signature {
                #(#plans)*
                match const { #plan.as_ref() } {
                    ::core::option::Option::Some(__plan) => {
                        self.0.start::<#codec, #output>(__plan, |__params, __encoder| {
                            #(#writes)*
                            ::core::result::Result::Ok(())
                        })
                    }
                    ::core::option::Option::None => ::mp_core::__private::local_only::<#codec, #output>(),
                }
            }
        }
    });
    let methods = quote! {
        impl #twin {
            #[doc = #doc_new]
            #vis fn new(object: &::std::sync::Arc<dyn #interface>) -> ::core::result::Result<Self, ::mp_core::Error> {
                ::mp_core::AsyncProxy::new(object).map(Self)
            }

            #(#calls)*
        }
    };
    (structure, methods)
}
