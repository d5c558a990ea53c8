//! What the methods about descriptors and addresses give, where it is large.

use btc_interfaces::rpc::table::Shape;

/// What `getdescriptorinfo` gives.
pub(in crate::rpc) const GET_DESCRIPTOR_INFO: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string(
            "descriptor",
            "The descriptor without private keys, with its checksum",
        ),
        Shape::array(
            "multipath_expansion",
            "All descriptors that a multipath one stands for",
            &[Shape::string("", "")],
        )
        .optional(),
        Shape::string("checksum", "The checksum of the text that was given"),
        Shape::bool("isrange", "Whether it stands for a range of scripts"),
        Shape::bool(
            "issolvable",
            "Whether it tells all that spending takes, but for keys",
        ),
        Shape::bool("hasprivatekeys", "Whether the text held private keys"),
    ],
)];

/// What `validateaddress` gives.
pub(in crate::rpc) const VALIDATE_ADDRESS: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::bool("isvalid", "Whether it is valid"),
        Shape::string("address", "The address in its usual form").optional(),
        Shape::hex("scriptPubKey", "The script it stands for").optional(),
        Shape::bool("isscript", "Whether it stands for the hash of a script").optional(),
        Shape::bool("iswitness", "Whether it is a witness program").optional(),
        Shape::number("witness_version", "The program's version").optional(),
        Shape::hex("witness_program", "The program").optional(),
        Shape::string("error", "What is wrong").optional(),
        Shape::array(
            "error_locations",
            "Positions that are likely wrong",
            &[Shape::number("", "")],
        )
        .optional(),
    ],
)];
