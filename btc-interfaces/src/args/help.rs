//! Help and version.

use super::{Args, Category, OptionSpec, Program, table};
use std::fmt::Write as _;

/// Columns of a screen.
const WIDTH: usize = 79;

impl Args {
    /// The text to print instead of doing anything, if the options ask for one (`-version`, `-help`, `-h`, `-?`,
    /// `-help-debug`). `name` is the program's.
    pub fn info_text(&self, name: &str) -> Option<String> {
        let about = match self.program {
            Program::Node | Program::Daemon => "daemon",
            Program::Cli => "RPC client",
            Program::Wallet => "wallet",
            Program::Gui => "window",
        };
        // The last word of the first line is the program's name; other programs look for it there.
        let version = env!("CARGO_PKG_VERSION");
        let title = format!("multiprocess-bitcoin {about} version v{version} {name}\n");
        if self.flag("version") == Some(true) {
            return Some(title + LICENCE);
        }
        let asked = ["?", "h", "help", "help-debug"];
        if asked.iter().any(|option| self.is_set(option)) {
            return Some(format!(
                "{title}\n{}\n{}",
                self.introduction(name),
                self.help()
            ));
        }
        None
    }

    fn introduction(&self, name: &str) -> String {
        match self.program {
            Program::Node | Program::Daemon => format!(
                "A Bitcoin node without a window: it keeps and checks the chain and answers RPC.\n\nUsage: {name} [options]\n"
            ),
            Program::Cli => format!(
                "Sends a command to a running node and prints the answer.\n\n\
                 Usage: {name} [options] <command> [params]\n\
                 or:    {name} [options] -named <command> [name=value]...\n\
                 or:    {name} [options] help\n\
                 or:    {name} [options] help <command>\n"
            ),
            Program::Wallet => format!(
                "Keeps wallets for a node that starts it, or works on wallet files offline.\n\n\
                 Usage: {name} [options] <command>\n"
            ),
            Program::Gui => format!("A window to a node.\n\nUsage: {name} [options]\n"),
        }
    }

    /// The help of all options, in groups.
    pub fn help(&self) -> String {
        let debug = self.flag("help-debug") == Some(true);
        let mut shown: Vec<&OptionSpec> = table::of(self.program)
            .filter(|spec| spec.category != Category::Hidden && (debug || !spec.debug_only))
            .collect();
        shown.sort_by_key(|spec| (spec.category, spec.name()));
        let mut text = String::new();
        let mut category = None;
        for spec in shown {
            if category != Some(spec.category) {
                category = Some(spec.category);
                let _ = write!(text, "{}\n\n", spec.category.title());
            }
            let help = paragraph(spec.help, WIDTH - 7, 7);
            let _ = write!(text, "  -{}\n       {help}\n\n", spec.usage);
        }
        text
    }
}

const LICENCE: &str = "\n\
    This is experimental software under the MIT licence or the Apache licence 2.0, at your choice.\n\
    It comes without any warranty.\n";

/// Breaks a text at spaces into lines of at most `width` characters; lines after the first begin with `indent` spaces.
pub fn paragraph(text: &str, width: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 {
            if column + 1 + length > width {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = 0;
            } else {
                out.push(' ');
                column += 1;
            }
        }
        out.push_str(word);
        column += length;
    }
    out
}
