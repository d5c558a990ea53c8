//! What the methods about the server give, where it is large.

use btc_interfaces::rpc::table::Shape;

/// An OpenRPC document.
pub(in crate::rpc) const OPEN_RPC: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string("openrpc", "The specification's version"),
        Shape::object(
            "info",
            "What it describes",
            &[
                Shape::string("title", "The interface's name"),
                Shape::string("version", "The program's version"),
                Shape::string("description", "Where the document comes from"),
            ],
        ),
        Shape::array("methods", "The methods", &[METHOD]),
    ],
)
.unchecked()];

const METHOD: Shape = Shape::object(
    "",
    "",
    &[
        Shape::string("name", "The name"),
        Shape::string("description", "What it does"),
        Shape::array(
            "params",
            "What it takes",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::string("name", "The name"),
                    Shape::bool("required", "Whether it must be given"),
                    Shape::any("schema", "The JSON Schema of its value"),
                    Shape::string("description", "What it means").optional(),
                    Shape::array("x-bitcoin-aliases", "Other names", &[Shape::string("", "")])
                        .optional(),
                    Shape::bool(
                        "x-bitcoin-placeholder",
                        "Whether it is kept for old callers alone",
                    )
                    .optional(),
                    Shape::bool(
                        "x-bitcoin-also-positional",
                        "Whether it may also be given by position",
                    )
                    .optional(),
                ],
            )],
        ),
        Shape::object(
            "result",
            "What it gives",
            &[
                Shape::string("name", "Always result"),
                Shape::any("schema", "The JSON Schema of the result"),
            ],
        ),
        Shape::string("x-bitcoin-category", "The group that help lists it under"),
    ],
);
