//! Constants that join a method with its place in the tables.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::{Ident, Type};

use super::method::{Method, Param, param_const, plain, plan_const};
use crate::names::camel;

/// Constants that connect a method and its parameters with the schema.
pub(super) fn plan(interface: &Ident, table: &TokenStream, method: &Method<'_>) -> TokenStream {
    let plan = plan_const(method);
    let name = plain(&method.name);
    let span = method.name.span();
    let mut out = quote_spanned! { span =>
        const #plan: ::core::option::Option<::mp_core::__private::MethodPlan> =
            ::mp_core::__private::find_method(&#table, #name);
    };
    if method.item.default.is_none() {
        let missing = format!(
            "the schema of `{interface}` declares no method `{name}` (by its `$Proxy.name`, or `{}`): declare it, or give the Rust method a body to keep it local",
            camel(&name),
        );
        out.extend(
            quote_spanned! { span => const _: () = ::core::assert!(#plan.is_some(), #missing); },
        );
    }
    let names = method.params.iter().map(|param| plain(&param.name));
    let surplus = format!(
        "the schema's method `{name}` of `{interface}` has a parameter that the Rust method has not"
    );
    out.extend(quote_spanned! { span =>
        const _: () = if let ::core::option::Option::Some(plan) = &#plan {
            ::mp_core::__private::check_params(&plan.method, &[#(#names),*], #surplus);
        };
    });
    out
}

/// The constant of a parameter's field, checked against the schema.
pub(super) fn param_plan(
    interface: &Ident,
    codec: &Type,
    method: &Method<'_>,
    param: &Param,
) -> TokenStream {
    let plan = plan_const(method);
    let constant = param_const(method, param);
    let owned = &param.owned;
    let (method_name, param_name) = (plain(&method.name), plain(&param.name));
    let missing = format!(
        "the schema's method `{method_name}` of `{interface}` has no parameter `{param_name}` (`{}`)",
        camel(&param_name)
    );
    let mismatch = format!(
        "the schema keeps another kind of value in the parameter `{param_name}` of `{interface}.{method_name}`"
    );
    quote_spanned! { param.name.span() =>
        const #constant: ::mp_core::__private::FieldPlan = match &#plan {
            ::core::option::Option::Some(plan) => ::mp_core::__private::plan_field(
                &plan.method.params,
                #param_name,
                <#owned as ::mp_core::Field<#codec>>::KIND,
                #missing,
                #mismatch,
            ),
            ::core::option::Option::None => ::mp_core::__private::NO_FIELD,
        };
    }
}
