//! The window.

use crate::args::{Category, OptionSpec};

pub(super) const GUI: &[OptionSpec] = &[
    gui("choosedatadir", "Ask for the data directory (default: 0).").pending(),
    gui(
        "lang=<lang>",
        "Language, such as de_DE (default: the system's).",
    )
    .pending(),
    gui("min", "Start minimized.").pending(),
    gui("resetguisettings", "Forget what was set in the window.").pending(),
    gui("splash", "Show a picture while starting (default: 1).").pending(),
    gui(
        "uiplatform",
        "Look of the window: windows, macosx or other.",
    )
    .debug()
    .pending(),
];

/// What the node accepts of them without effect, so that both may share a configuration file.
pub(super) const GUI_IN_NODE: &[OptionSpec] = &[
    hidden("choosedatadir"),
    hidden("lang=<lang>"),
    hidden("min"),
    hidden("resetguisettings"),
    hidden("splash"),
    hidden("uiplatform"),
];

const fn gui(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Gui, usage, help)
}

const fn hidden(usage: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Hidden, usage, "")
}
