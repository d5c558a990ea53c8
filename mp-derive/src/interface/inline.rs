//! A trait without a schema file: the tables that one would give, and the text of one.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, Path, Type};

use super::method::{Method, plain};
use crate::names::{camel, member};

/// The constant tables.
pub(super) fn tables(
    interface: &Ident,
    codec: &Type,
    id: &syn::LitInt,
    root: bool,
    methods: &[Method<'_>],
    bases: &[Path],
) -> TokenStream {
    let sorted = by_ordinal(methods);
    let constant = |half: &str, method: &Method<'_>| {
        format_ident!("__{half}_{}", plain(&method.name).to_uppercase())
    };
    let halves = sorted.iter().map(|method| {
        let (params, results) = (constant("PARAMS", method), constant("RESULTS", method));
        let (members, given) = (constant("MEMBERS", method), constant("GIVEN", method));
        let context = (!method.direct).then(|| {
            let kind = quote!(::mp_core::schema::Kind::Struct(::mp_core::schema::CONTEXT_ID));
            member("context", &kind, &quote!(false), false)
        });
        let entries = method.params.iter().map(|param| {
            let owned = &param.owned;
            member(
                &plain(&param.name),
                &quote!(<#owned as ::mp_core::Field<#codec>>::KIND),
                &quote!(<#owned as ::mp_core::Field<#codec>>::OPTIONAL),
                param.secret,
            )
        });
        let entries = context.into_iter().chain(entries);
        let (output, secret) = (method.output, method.secret);
        quote! {
            const #members: &[::mp_core::__private::Member] = &[#(#entries),*];
            const #params: &[::mp_core::schema::Field] =
                &::mp_core::__private::layout_members::<{ ::mp_core::__private::count_fields(#members) }>(#members);
            const #given: ::mp_core::__private::Results = <#output as ::mp_core::Outcome<#codec>>::RESULTS;
            const #results: &[::mp_core::schema::Field] =
                &::mp_core::__private::layout_results::<{ #given.count() }>(&#given, #secret);
        }
    });
    let entries = sorted.iter().map(|method| {
        let name = plain(&method.name);
        let schema_name = camel(&name);
        let (params, results) = (constant("PARAMS", method), constant("RESULTS", method));
        let params_name = format!("{schema_name}$Params");
        let results_name = format!("{schema_name}$Results");
        let ordinal = method.ordinal;
        quote! {
            ::mp_core::schema::Method {
                interface: #id,
                ordinal: #ordinal,
                name: #schema_name,
                rust_name: #name,
                params: ::mp_core::__private::layout_struct(0, #params_name, "", #params),
                results: ::mp_core::__private::layout_struct(0, #results_name, "", #results),
            }
        }
    });
    let bases = bases
        .iter()
        .map(|base| quote!(<dyn #base as ::mp_core::Interface>::SCHEMA));
    let construct = root.then(|| quote!(::mp_core::__private::construct(#id),));
    let text = plain(interface);
    quote! {
        #(#halves)*
        const __TABLE: ::mp_core::schema::Interface = ::mp_core::schema::Interface {
            id: #id,
            name: #text,
            wrap: #text,
            extends: &[#(#bases),*],
            methods: &[#construct #(#entries),*],
        };
    }
}

/// What writes the trait to a schema file.
pub(super) fn describe(codec: &Type, methods: &[Method<'_>], bases: &[Path]) -> TokenStream {
    let types = by_ordinal(methods).into_iter().map(|method| {
        let params = method.params.iter().map(|param| &param.owned);
        let output = method.output;
        quote! {
            ::mp_core::__private::MethodTypes {
                params: ::std::vec![#(::mp_core::schema::FieldType::of::<#codec, #params>(file)?),*],
                results: <#output as ::mp_core::Outcome<#codec>>::result_types(file)?,
            }
        }
    });
    quote! {
        fn describe(
            file: &mut ::mp_core::schema::SchemaFile,
        ) -> ::core::result::Result<(), ::mp_core::schema::ExportError> {
            file.add_interface(&__TABLE, |file| {
                #(<dyn #bases as ::mp_core::Interface>::describe(file)?;)*
                ::core::result::Result::Ok(::std::vec![#(#types),*])
            })
        }
    }
}

fn by_ordinal<'m, 't>(methods: &'m [Method<'t>]) -> Vec<&'m Method<'t>> {
    let mut sorted: Vec<&Method<'_>> = methods.iter().collect();
    sorted.sort_by_key(|method| method.ordinal);
    sorted
}
