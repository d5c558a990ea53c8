//! `#[derive(Message)]`: structs and enums as values of messages.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, Type};

use crate::attribute::Arguments;
use crate::names::{camel, member};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = syn::parse2(item)?;
    let arguments = Arguments::of(&item.attrs)?;
    arguments.only(&["codec", "schema", "id", "repr", "results"])?;
    if !item.generics.params.is_empty() {
        return Err(Error::new(item.ident.span(), "a message cannot be generic"));
    }
    match &item.data {
        Data::Struct(data) => {
            if let Some(repr) = &arguments.repr {
                return Err(Error::new(repr.span(), "`repr` is for enums"));
            }
            structure(&item.ident, &arguments, &data.fields)
        }
        Data::Enum(data) => {
            arguments.only(&["codec", "repr"])?;
            enumeration(&item.ident, &arguments, data)
        }
        Data::Union(_) => Err(Error::new(item.ident.span(), "a union cannot be a message")),
    }
}

fn codec<'a>(name: &Ident, arguments: &'a Arguments) -> Result<&'a Type> {
    arguments.codec.as_ref().ok_or_else(|| {
        Error::new(
            name.span(),
            "`#[mp(codec = path)]` is missing: the marker type of `mp_core::Field`",
        )
    })
}

fn plain(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

fn structure(name: &Ident, arguments: &Arguments, fields: &Fields) -> Result<TokenStream> {
    let codec = codec(name, arguments)?;
    let mut secrets = Vec::new();
    for field in fields {
        let own = Arguments::of(&field.attrs)?;
        own.only(&["secret"])?;
        if let (Some(own), None) = (own.seen.first(), &arguments.id) {
            return Err(Error::new(
                own.span(),
                "the schema says this (`$Rust.secret`); it has a place here only with `id`",
            ));
        }
        secrets.push(own.secret);
    }
    let members: Vec<(&Ident, &Type)> = match fields {
        Fields::Named(named) => named
            .named
            .iter()
            .filter_map(|field| Some((field.ident.as_ref()?, &field.ty)))
            .collect(),
        Fields::Unit => Vec::new(),
        Fields::Unnamed(_) => {
            return Err(Error::new(
                name.span(),
                "a message needs named fields, which are looked up in the schema",
            ));
        }
    };
    if arguments.results {
        arguments.only(&["codec", "results"])?;
        return Ok(results(name, codec, &members));
    }
    let (tables, table, id, describe) = match (&arguments.schema, &arguments.id) {
        (Some(path), None) => {
            let describe = quote!(::core::result::Result::Err(::mp_core::schema::ExportError::HasSchema((#path).name)));
            (
                TokenStream::new(),
                quote!(#path),
                quote!((#path).id),
                describe,
            )
        }
        (None, Some(id)) => {
            let entries = entries(codec, &members, &secrets);
            let types = members.iter().map(|(_, ty)| ty);
            let text = plain(name);
            let tables = quote! {
                const __MEMBERS: &[::mp_core::__private::Member] = &[#(#entries),*];
                const __FIELDS: &[::mp_core::schema::Field] = &::mp_core::__private::layout_members::<
                    { ::mp_core::__private::count_fields(__MEMBERS) },
                >(__MEMBERS);
                const __TABLE: ::mp_core::schema::Struct =
                    ::mp_core::__private::layout_struct(#id, #text, #text, __FIELDS);
            };
            let describe = quote! {
                file.add_struct(&__TABLE, |file| {
                    ::core::result::Result::Ok(
                        ::std::vec![#(::mp_core::schema::FieldType::of::<#codec, #types>(file)?),*],
                    )
                })
            };
            // Not that of the table, which the struct may be a part of itself.
            (tables, quote!(__TABLE), quote!(#id), describe)
        }
        _ => {
            return Err(Error::new(
                name.span(),
                "give one of `schema = path`, `id = 0x…` and `results`",
            ));
        }
    };
    let constants: Vec<Ident> = members
        .iter()
        .map(|(member, _)| format_ident!("__FIELD_{}", plain(member).to_uppercase()))
        .collect();
    let plans = members
        .iter()
        .zip(&constants)
        .map(|((member, ty), constant)| {
            let text = plain(member);
            let missing = format!(
                "the schema of `{name}` has no field `{text}` (by its `$Proxy.name`, or `{}`)",
                camel(&text)
            );
            let mismatch =
                format!("the schema keeps another kind of value in the field `{text}` of `{name}`");
            quote_spanned! { member.span() =>
                const #constant: ::mp_core::__private::FieldPlan = ::mp_core::__private::plan_field(
                    &#table, #text, <#ty as ::mp_core::Field<#codec>>::KIND, #missing, #mismatch,
                );
            }
        });
    let reads = members.iter().zip(&constants).map(|((member, ty), constant)| {
        quote!(#member: <#ty as ::mp_core::Field<#codec>>::read(::mp_core::Slot::field(&structure, &#constant, &decoder))?)
    });
    let writes = members.iter().zip(&constants).map(|((member, ty), constant)| {
        quote!(<#ty as ::mp_core::Field<#codec>>::write(&self.#member, ::mp_core::SlotMut::field(structure, &#constant, encoder))?;)
    });
    let surplus = format!("the schema of `{name}` has a field that the Rust struct has not");
    let names = members.iter().map(|(member, _)| plain(member));
    Ok(quote! {
        #[allow(clippy::all, unused, missing_docs)]
        const _: () = {
            #tables
            #(#plans)*
            const _: () = ::mp_core::__private::check_fields((#table).fields, &[#(#names),*], #surplus);

            #[automatically_derived]
            impl ::mp_core::Field<#codec> for #name {
                const KIND: ::mp_core::schema::Kind = ::mp_core::schema::Kind::Struct(#id);
                const STRUCT_SIZE: (u16, u16) = ((#table).data_words, (#table).pointers);
                const EXCEPTION: &'static str = (#table).wrap;

                fn schema_type(
                    file: &mut ::mp_core::schema::SchemaFile,
                ) -> ::core::result::Result<::std::string::String, ::mp_core::schema::ExportError> {
                    #describe
                }

                fn read(slot: ::mp_core::Slot<'_>) -> ::core::result::Result<Self, ::mp_core::Error> {
                    let structure = slot.structure()?;
                    let decoder = slot.decoder();
                    ::core::result::Result::Ok(Self { #(#reads),* })
                }

                fn write(&self, slot: ::mp_core::SlotMut<'_>) -> ::core::result::Result<(), ::mp_core::Error> {
                    let (structure, encoder) = slot.begin_struct(
                        <Self as ::mp_core::Field<#codec>>::STRUCT_SIZE,
                    )?;
                    #(#writes)*
                    ::core::result::Result::Ok(())
                }
            }
        };
    })
}

/// What the tables need to know of each member.
fn entries(codec: &Type, members: &[(&Ident, &Type)], secrets: &[bool]) -> Vec<TokenStream> {
    let entry = |((name, ty), secret): (&(&Ident, &Type), &bool)| {
        member(
            &plain(name),
            &quote!(<#ty as ::mp_core::Field<#codec>>::KIND),
            &quote!(<#ty as ::mp_core::Field<#codec>>::OPTIONAL),
            *secret,
        )
    };
    members.iter().zip(secrets).map(entry).collect()
}

/// A struct whose members are a method's results. Its names are looked up when it is used, for it may serve several
/// methods.
fn results(name: &Ident, codec: &Type, members: &[(&Ident, &Type)]) -> TokenStream {
    let text = name.to_string();
    let reads = members.iter().map(|(member, ty)| {
        let field = plain(member);
        quote! {
            #member: <#ty as ::mp_core::Field<#codec>>::read(::mp_core::Slot::field(
                &results, &::mp_core::__private::result_named(plan, #field)?, decoder,
            ))?
        }
    });
    let writes = members.iter().map(|(member, ty)| {
        let field = plain(member);
        quote! {
            <#ty as ::mp_core::Field<#codec>>::write(&self.#member, ::mp_core::SlotMut::field(
                results, &::mp_core::__private::result_named(plan, #field)?, encoder,
            ))?;
        }
    });
    let entries = entries(codec, members, &vec![false; members.len()]);
    let types = members.iter().map(|(_, ty)| ty);
    quote! {
        #[allow(clippy::all, unused, missing_docs)]
        const _: () = {
            #[automatically_derived]
            impl ::mp_core::Field<#codec> for #name {
                const KIND: ::mp_core::schema::Kind = ::mp_core::schema::Kind::Struct(0);
                const RESULTS: ::mp_core::__private::Results =
                    ::mp_core::__private::Results::of(&[#(#entries),*]);

                fn result_types(
                    file: &mut ::mp_core::schema::SchemaFile,
                ) -> ::core::result::Result<::std::vec::Vec<::mp_core::schema::FieldType>, ::mp_core::schema::ExportError> {
                    ::core::result::Result::Ok(
                        ::std::vec![#(::mp_core::schema::FieldType::of::<#codec, #types>(file)?),*],
                    )
                }

                fn read(slot: ::mp_core::Slot<'_>) -> ::core::result::Result<Self, ::mp_core::Error> {
                    ::core::result::Result::Err(::mp_core::__private::only_results(#text))
                }

                fn write(&self, slot: ::mp_core::SlotMut<'_>) -> ::core::result::Result<(), ::mp_core::Error> {
                    ::core::result::Result::Err(::mp_core::__private::only_results(#text))
                }

                fn read_results(
                    results: ::mp_core::wire::StructReader<'_>,
                    plan: &::mp_core::__private::MethodPlan,
                    decoder: &::mp_core::Decoder<'_>,
                ) -> ::core::result::Result<Self, ::mp_core::Error> {
                    ::core::result::Result::Ok(Self { #(#reads),* })
                }

                fn write_results(
                    &self,
                    results: ::mp_core::wire::StructAt,
                    plan: &::mp_core::__private::MethodPlan,
                    encoder: &mut ::mp_core::Encoder,
                ) -> ::core::result::Result<(), ::mp_core::Error> {
                    #(#writes)*
                    ::core::result::Result::Ok(())
                }
            }
        };
    }
}

fn enumeration(name: &Ident, arguments: &Arguments, data: &syn::DataEnum) -> Result<TokenStream> {
    let codec = codec(name, arguments)?;
    let Some(repr) = &arguments.repr else {
        return Err(Error::new(
            name.span(),
            "`#[mp(repr = \"Int32\")]` is missing: what the enum is kept in",
        ));
    };
    let integer = match repr.value().as_str() {
        "Int8" => "i8",
        "Int16" => "i16",
        "Int32" => "i32",
        "Int64" => "i64",
        "UInt8" => "u8",
        "UInt16" | "enum" => "u16",
        "UInt32" => "u32",
        "UInt64" => "u64",
        _ => {
            return Err(Error::new(
                repr.span(),
                "`repr` is one of Int8 to Int64, UInt8 to UInt64, and enum",
            ));
        }
    };
    let integer = Ident::new(integer, repr.span());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new(
                variant.ident.span(),
                "a variant with data cannot be kept in an integer",
            ));
        }
    }
    let variants: Vec<&Ident> = data.variants.iter().map(|variant| &variant.ident).collect();
    let text = name.to_string();
    Ok(quote! {
        #[allow(clippy::all, unused, missing_docs)]
        const _: () = {
            #[automatically_derived]
            impl ::mp_core::Field<#codec> for #name {
                const KIND: ::mp_core::schema::Kind = <#integer as ::mp_core::Field<#codec>>::KIND;

                fn schema_type(
                    file: &mut ::mp_core::schema::SchemaFile,
                ) -> ::core::result::Result<::std::string::String, ::mp_core::schema::ExportError> {
                    <#integer as ::mp_core::Field<#codec>>::schema_type(file)
                }

                fn read(slot: ::mp_core::Slot<'_>) -> ::core::result::Result<Self, ::mp_core::Error> {
                    let value = <#integer as ::mp_core::Field<#codec>>::read(slot)?;
                    #(if value == Self::#variants as #integer {
                        return ::core::result::Result::Ok(Self::#variants);
                    })*
                    ::core::result::Result::Err(slot.error(::mp_core::DecodeError::NoVariant(value as i64, #text)))
                }

                fn write(&self, slot: ::mp_core::SlotMut<'_>) -> ::core::result::Result<(), ::mp_core::Error> {
                    let value = match self {
                        #(Self::#variants => Self::#variants as #integer,)*
                    };
                    <#integer as ::mp_core::Field<#codec>>::write(&value, slot)
                }
            }
        };
    })
}
