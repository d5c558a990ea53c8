//! `#[interface]`: from a trait to its proxies.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Error, FnArg, Ident, ItemTrait, Pat, Path, Result, ReturnType, Signature, TraitItem,
    TraitItemFn, Type, TypeParamBound, Visibility, parse_quote,
};

use crate::attribute::Arguments;
use crate::names::camel;

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

struct Method<'t> {
    item: &'t TraitItemFn,
    name: Ident,
    params: Vec<Param>,
    output: &'t Type,
    ordinal: u64,
    /// Runs on the connection's own thread: no `context` parameter. Only for traits without a schema.
    direct: bool,
    /// The result is not for logs. Only for traits without a schema.
    secret: bool,
}

struct Param {
    name: Ident,
    /// The argument's type as the trait writes it.
    written: Type,
    /// The type that is kept in the message.
    owned: Type,
    /// How the server passes what it read.
    borrowed: bool,
    /// The value is not for logs. Only for traits without a schema.
    secret: bool,
}

/// What `#[mp(…)]` says of a method and its parameters.
struct MethodArguments {
    method: Arguments,
    params: Vec<Arguments>,
}

impl MethodArguments {
    /// Every argument met.
    fn seen(&self) -> impl Iterator<Item = &Ident> {
        let params = self.params.iter().flat_map(|own| &own.seen);
        self.method.seen.iter().chain(params)
    }
}

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
        if let Some(method) = parse_method(
            method,
            own,
            methods.len() as u64 + u64::from(arguments.root),
        )? {
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
    let (tables, table) = match (&arguments.schema, &arguments.id) {
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
            (TokenStream::new(), quote!(#path))
        }
        (None, Some(id)) => (
            inline_tables(name, &codec, id, arguments.root, &methods, &bases),
            quote!(__TABLE),
        ),
        (None, None) => {
            return Err(Error::new(
                name.span(),
                "`schema = path` is missing (or `id = 0x…`, without a schema file)",
            ));
        }
    };

    let plans = methods.iter().map(|method| plan(name, &table, method));
    let proxies = methods
        .iter()
        .map(|method| proxy_method(name, &codec, method));
    let arms = methods
        .iter()
        .map(|method| server_arm(&codec, name, method));
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
        twin(&item.vis, name, &codec, &methods)
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

/// What the macro makes of a method; `None` for one that is local because of how it looks.
fn parse_method<'t>(
    item: &'t TraitItemFn,
    own: &MethodArguments,
    position: u64,
) -> Result<Option<Method<'t>>> {
    let signature = &item.sig;
    let refuse = |span: proc_macro2::Span, text: &str| {
        if item.default.is_some() {
            Ok(None)
        } else {
            Err(Error::new(span, text))
        }
    };
    let ReturnType::Type(_, output) = &signature.output else {
        return refuse(
            signature.span(),
            "a remote method returns a `Result`, since any remote call can fail",
        );
    };
    // Whether a method with a body calls or stays local depends on the schema, but what gives no `Result` cannot call.
    let result = matches!(&**output, Type::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Result")));
    if !result && item.default.is_some() {
        return Ok(None);
    }
    if !signature.generics.params.is_empty() {
        return refuse(
            signature.generics.span(),
            "a remote method cannot be generic",
        );
    }
    if let Some(asyncness) = &signature.asyncness {
        return refuse(asyncness.span(), "a remote method is blocking");
    }
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver))
            if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        _ => return refuse(signature.span(), "a remote method takes `&self`"),
    }
    let mut params = Vec::new();
    for (input, own) in inputs.zip(&own.params) {
        let FnArg::Typed(input) = input else { continue };
        let Pat::Ident(pattern) = &*input.pat else {
            return refuse(
                input.pat.span(),
                "a parameter needs a name, which is looked up in the schema",
            );
        };
        let written = (*input.ty).clone();
        let (owned, borrowed) = match &written {
            Type::Reference(reference) if reference.mutability.is_some() => {
                return refuse(
                    input.ty.span(),
                    "a remote method cannot change its argument",
                );
            }
            Type::Reference(reference) => match &*reference.elem {
                Type::Slice(slice) => {
                    let element = &slice.elem;
                    (parse_quote!(::std::vec::Vec<#element>), true)
                }
                Type::Path(path) if path.path.is_ident("str") => {
                    (parse_quote!(::std::string::String), true)
                }
                other => (other.clone(), true),
            },
            other => (other.clone(), false),
        };
        params.push(Param {
            name: pattern.ident.clone(),
            written,
            owned,
            borrowed,
            secret: own.secret,
        });
    }
    let own = &own.method;
    let ordinal = match &own.ordinal {
        Some(ordinal) => ordinal.base10_parse()?,
        None => position,
    };
    Ok(Some(Method {
        item,
        name: signature.ident.clone(),
        params,
        output,
        ordinal,
        direct: own.direct,
        secret: own.secret,
    }))
}

/// The raw name without `r#`.
fn plain(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

fn plan_const(method: &Method<'_>) -> Ident {
    format_ident!("__PLAN_{}", plain(&method.name).to_uppercase())
}

fn param_const(method: &Method<'_>, param: &Param) -> Ident {
    format_ident!(
        "__PARAM_{}_{}",
        plain(&method.name).to_uppercase(),
        plain(&param.name).to_uppercase()
    )
}

/// Constants that connect a method and its parameters with the schema.
fn plan(interface: &Ident, table: &TokenStream, method: &Method<'_>) -> TokenStream {
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
fn param_plan(interface: &Ident, codec: &Type, method: &Method<'_>, param: &Param) -> TokenStream {
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

/// The proxy's method.
fn proxy_method(interface: &Ident, codec: &Type, method: &Method<'_>) -> TokenStream {
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
fn plain_signature(signature: &Signature) -> Signature {
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
fn param_writes(codec: &Type, method: &Method<'_>) -> Vec<TokenStream> {
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

/// The asynchronous twin: a struct, and its methods, which are written where the plans are.
fn twin(
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

/// The server's part: reads the parameters, calls the object, writes the results.
fn server_arm(codec: &Type, interface: &Ident, method: &Method<'_>) -> TokenStream {
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

/// The tables of a trait without a schema file.
fn inline_tables(
    interface: &Ident,
    codec: &Type,
    id: &syn::LitInt,
    root: bool,
    methods: &[Method<'_>],
    bases: &[Path],
) -> TokenStream {
    let mut sorted: Vec<&Method<'_>> = methods.iter().collect();
    sorted.sort_by_key(|method| method.ordinal);
    let statics = sorted.iter().map(|method| {
        let name = plain(&method.name);
        let params_name = format_ident!("__PARAMS_{}", name.to_uppercase());
        let results_name = format_ident!("__RESULTS_{}", name.to_uppercase());
        let context = (!method.direct).then(|| {
            quote!(("context", ::mp_core::schema::Kind::Struct(::mp_core::schema::CONTEXT_ID), false),)
        });
        let params = method.params.iter().map(|param| {
            let (name, owned, secret) = (plain(&param.name), &param.owned, param.secret);
            quote!((#name, <#owned as ::mp_core::Field<#codec>>::KIND, #secret))
        });
        let (output, secret) = (method.output, method.secret);
        quote! {
            const #params_name: &[::mp_core::schema::Field] =
                &::mp_core::__private::layout_fields([#context #(#params),*]);
            const #results_name: &[::mp_core::schema::Field] =
                ::mp_core::__private::result_fields(
                    &const { ::mp_core::__private::layout_fields([("result", <#output as ::mp_core::Outcome<#codec>>::KIND, #secret)]) },
                );
        }
    });
    let entries = sorted.iter().map(|method| {
        let name = plain(&method.name);
        let schema_name = camel(&name);
        let params_name = format_ident!("__PARAMS_{}", name.to_uppercase());
        let results_name = format_ident!("__RESULTS_{}", name.to_uppercase());
        let (params, results) = (
            format!("{schema_name}$Params"),
            format!("{schema_name}$Results"),
        );
        let ordinal = method.ordinal as u16;
        quote! {
            ::mp_core::schema::Method {
                interface: #id,
                ordinal: #ordinal,
                name: #schema_name,
                rust_name: #name,
                params: ::mp_core::__private::layout_struct(0, #params, #params_name),
                results: ::mp_core::__private::layout_struct(0, #results, #results_name),
            }
        }
    });
    let bases = bases
        .iter()
        .map(|base| quote!(<dyn #base as ::mp_core::Interface>::SCHEMA));
    let construct = root.then(|| quote!(::mp_core::__private::construct(#id),));
    let text = interface.to_string();
    quote! {
        #(#statics)*
        const __TABLE: ::mp_core::schema::Interface = ::mp_core::schema::Interface {
            id: #id,
            name: #text,
            wrap: "",
            extends: &[#(#bases),*],
            methods: &[#construct #(#entries),*],
        };
    }
}
