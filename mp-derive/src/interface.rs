//! `#[interface]`: from a trait to its proxies.

mod inline;
mod method;
mod plans;
mod proxy;
mod server;
mod twin;

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemTrait, Path, Result, TraitItem, TypeParamBound};

use crate::attribute::Arguments;
use method::{MethodArguments, parse_method};

/// Supertraits that are no interfaces.
const PLAIN_TRAITS: &[&str] = &[
    "Send",
    "Sync",
    "Debug",
    "Display",
    "Any",
    "Sized",
    "Unpin",
    "UnwindSafe",
    "RefUnwindSafe",
];

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = syn::parse2(arguments)?;
    arguments.only(&[
        "codec",
        "schema",
        "id",
        "root",
        "extends",
        "local",
        "async_twin",
    ])?;
    let mut item: ItemTrait = syn::parse2(item)?;
    if !item.generics.params.is_empty() {
        return Err(Error::new(
            item.generics.span(),
            "an interface cannot be generic",
        ));
    }
    let codec = arguments.codec.clone().ok_or_else(|| {
        Error::new(
            item.ident.span(),
            "`codec = path` is missing: the marker type of `mp_core::Field`",
        )
    })?;
    // The macro's own attributes must not stay on the trait.
    let mut method_arguments = Vec::new();
    for member in &mut item.items {
        if let TraitItem::Fn(method) = member {
            let mut own = MethodArguments {
                method: Arguments::of(&method.attrs)?,
                params: Vec::new(),
            };
            method
                .attrs
                .retain(|attribute| !attribute.path().is_ident("mp"));
            for input in &mut method.sig.inputs {
                if let FnArg::Typed(input) = input {
                    let arguments = Arguments::of(&input.attrs)?;
                    arguments.only(&["secret"])?;
                    own.params.push(arguments);
                    input
                        .attrs
                        .retain(|attribute| !attribute.path().is_ident("mp"));
                }
            }
            method_arguments.push(own);
        }
    }
    let bases = bases(&item, &arguments);
    let mut methods = Vec::new();
    let all = item.items.iter().filter_map(|member| match member {
        TraitItem::Fn(method) => Some(method),
        _ => None,
    });
    for (method, own) in all.zip(&method_arguments) {
        own.method.only(&["ordinal", "direct", "secret"])?;
        if arguments.local.contains(&method.sig.ident) {
            if method.default.is_none() {
                return Err(Error::new(method.sig.span(), "a local method needs a body"));
            }
            continue;
        }
        if let Some(method) =
            parse_method(method, own, methods.len() + usize::from(arguments.root))?
        {
            methods.push(method);
        }
    }
    for name in &arguments.local {
        let found = item
            .items
            .iter()
            .any(|member| matches!(member, TraitItem::Fn(method) if method.sig.ident == *name));
        if !found {
            return Err(Error::new(
                name.span(),
                format!("the trait has no method `{name}`"),
            ));
        }
    }

    let name = &item.ident;
    let (tables, table, describe) = match (&arguments.schema, &arguments.id) {
        (Some(_), Some(id)) => return Err(Error::new(id.span(), "give either `schema` or `id`")),
        (Some(_), None) if arguments.root => {
            return Err(Error::new(
                name.span(),
                "the schema declares `construct`, so `root` has no place here",
            ));
        }
        (Some(path), None) => {
            if let Some(own) = method_arguments
                .iter()
                .flat_map(MethodArguments::seen)
                .next()
            {
                return Err(Error::new(
                    own.span(),
                    "the schema says this; remove it, or give `id` instead of `schema`",
                ));
            }
            (TokenStream::new(), quote!(#path), TokenStream::new())
        }
        (None, Some(id)) => (
            inline::tables(name, &codec, id, arguments.root, &methods, &bases),
            quote!(__TABLE),
            inline::describe(&codec, &methods, &bases),
        ),
        (None, None) => {
            return Err(Error::new(
                name.span(),
                "`schema = path` is missing (or `id = 0x…`, without a schema file)",
            ));
        }
    };

    let plans = methods
        .iter()
        .map(|method| plans::plan(name, &table, method));
    let proxies = methods
        .iter()
        .map(|method| proxy::proxy_method(name, &codec, method));
    let arms = methods
        .iter()
        .map(|method| server::server_arm(&codec, name, method));
    let extends = bases.iter().map(|base| {
        quote! {
            #[automatically_derived]
            impl ::mp_core::Extends<dyn #base> for dyn #name {}
        }
    });
    let base_plans = bases.iter().map(|base| {
        quote! {
            if let ::core::option::Option::Some(plan) = <dyn #base as ::mp_core::Interface>::plan(interface, ordinal) {
                return ::core::option::Option::Some(plan);
            }
        }
    });
    let base_calls = bases.iter().map(|base| {
        quote! {
            if <dyn #base as ::mp_core::Interface>::plan(interface, ordinal).is_some() {
                let base: ::std::sync::Arc<dyn #base> = ::std::sync::Arc::clone(this) as ::std::sync::Arc<dyn #base>;
                return <dyn #base as ::mp_core::Interface>::invoke(&base, interface, ordinal, call);
            }
        }
    });

    let (twin, twin_methods) = if arguments.async_twin {
        twin::twin(&item.vis, name, &codec, &methods)
    } else {
        (TokenStream::new(), TokenStream::new())
    };

    Ok(quote! {
        #item

        #twin

        #[allow(clippy::all, unused, missing_docs)]
        const _: () = {
            #tables
            const __PLANS: [::mp_core::__private::MethodPlan; (#table).methods.len()] =
                ::mp_core::__private::plans(&#table);
            #(#plans)*

            #[automatically_derived]
            impl ::mp_core::Extends<dyn #name> for dyn #name {}
            #(#extends)*

            #[automatically_derived]
            impl ::mp_core::Interface for dyn #name {
                const SCHEMA: &'static ::mp_core::schema::Interface = &#table;

                fn plan(interface: u64, ordinal: u16) -> ::core::option::Option<&'static ::mp_core::__private::MethodPlan> {
                    if interface == (#table).id {
                        return ::mp_core::__private::plan_at(&__PLANS, ordinal);
                    }
                    #(#base_plans)*
                    ::core::option::Option::None
                }

                fn invoke(
                    this: &::std::sync::Arc<Self>,
                    interface: u64,
                    ordinal: u16,
                    call: &mut ::mp_core::__private::ServerCall<'_>,
                ) -> ::core::result::Result<(), ::mp_core::Error> {
                    if interface == (#table).id {
                        #(#arms)*
                    }
                    #(#base_calls)*
                    ::core::result::Result::Err(call.not_implemented())
                }

                #describe

                fn from_proxy(proxy: ::mp_core::Proxy<Self>) -> ::std::sync::Arc<Self> {
                    ::std::sync::Arc::new(proxy)
                }
            }

            #[automatically_derived]
            impl<__I: ?::core::marker::Sized + ::mp_core::Interface + ::mp_core::Extends<dyn #name> #(+ ::mp_core::Extends<dyn #bases>)*>
                #name for ::mp_core::Proxy<__I>
            {
                #(#proxies)*
            }

            #twin_methods
        };
    })
}

/// The interfaces that objects of the trait also have.
fn bases(item: &ItemTrait, arguments: &Arguments) -> Vec<Path> {
    let supertraits = item.supertraits.iter().filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            let last = bound.path.segments.last()?;
            let plain = PLAIN_TRAITS.iter().any(|plain| last.ident == plain);
            (!plain).then(|| bound.path.clone())
        }
        _ => None,
    });
    let mut bases: Vec<Path> = supertraits.collect();
    for base in &arguments.extends {
        if !bases.contains(base) {
            bases.push(base.clone());
        }
    }
    bases
}
