//! The caller's part: a proxy's methods.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{FnArg, Ident, Pat, Signature, Type};

use super::method::{Method, Param, param_const, plan_const};
use super::plans::param_plan;

/// The proxy's method.
pub(super) fn proxy_method(interface: &Ident, codec: &Type, method: &Method<'_>) -> TokenStream {
    let signature = &method.item.sig;
    let attributes = method
        .item
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"));
    let plan = plan_const(method);
    let output = method.output;
    let plans = method
        .params
        .iter()
        .map(|param| param_plan(interface, codec, method, param));
    let writes = param_writes(codec, method);
    let remote = quote! {
        <#output as ::mp_core::Outcome<#codec>>::from_reply(
            ::mp_core::Proxy::call(self, __plan, |__params, __encoder| {
                #(#writes)*
                ::core::result::Result::Ok(())
            }),
            __plan,
        )
    };
    let body = match &method.item.default {
        Some(block) => quote! {
            if let ::core::option::Option::Some(__plan) = const { #plan.as_ref() } {
                #remote
            } else #block
        },
        None => quote! {
            let __plan = const {
                match &#plan {
                    ::core::option::Option::Some(plan) => plan,
                    ::core::option::Option::None => ::core::unreachable!(),
                }
            };
            #remote
        },
    };
    let signature = plain_signature(signature);
    quote! {
        #(#attributes)*
        #signature {
            #(#plans)*
            #body
        }
    }
}

/// The signature without `mut` in its patterns: a proxy's arguments need no change.
pub(super) fn plain_signature(signature: &Signature) -> Signature {
    let mut signature = signature.clone();
    for input in &mut signature.inputs {
        if let FnArg::Typed(input) = input
            && let Pat::Ident(pattern) = &mut *input.pat
        {
            pattern.mutability = None;
        }
    }
    signature
}

/// Statements that write the arguments.
pub(super) fn param_writes(codec: &Type, method: &Method<'_>) -> Vec<TokenStream> {
    let write = |param: &Param| {
        let constant = param_const(method, param);
        let (name, owned) = (&param.name, &param.owned);
        let (binding, value) = match &param.written {
            Type::Reference(reference) => match &*reference.elem {
                Type::Slice(_) => (
                    quote!(let __owned: #owned = #name.to_vec();),
                    quote!(&__owned),
                ),
                Type::Path(path) if path.path.is_ident("str") => (
                    quote!(let __owned: #owned = ::std::string::String::from(#name);),
                    quote!(&__owned),
                ),
                _ => (quote!(), quote!(#name)),
            },
            _ => (quote!(), quote!(&#name)),
        };
        quote! {
            #binding
            <#owned as ::mp_core::Field<#codec>>::write(
                #value,
                ::mp_core::SlotMut::field(__params, &#constant, __encoder),
            )?;
        }
    };
    method.params.iter().map(write).collect()
}
