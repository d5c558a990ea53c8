//! Schemas from a compiler that means ill.

use mp_codegen::{Schemas, Style, Traits};

/// Reads a `CodeGeneratorRequest` and prints what it describes.
///
/// Whatever it says, what is printed is Rust: no name or text of a schema becomes code.
pub fn codegen_request(data: &[u8]) {
    let Ok(schemas) = Schemas::from_request(data) else {
        return;
    };
    for traits in [Traits::None, Traits::All] {
        let style = Style {
            traits,
            ..Style::default()
        };
        let Ok(files) = schemas.emit(&style) else {
            continue;
        };
        for file in files {
            assert!(mp_codegen::is_generated(&file.text));
            if let Err(error) = syn::parse_file(&file.text) {
                panic!("{}: {error}\n{}", file.name, file.text);
            }
        }
    }
}
