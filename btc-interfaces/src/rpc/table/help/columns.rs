//! Lines of two columns.

use std::fmt::Write as _;

/// Lines of two columns, the second one aligned.
#[derive(Default)]
pub(super) struct Columns(Vec<(String, String)>);

impl Columns {
    pub(super) fn push(&mut self, left: String, right: String) {
        self.0.push((left, right));
    }

    /// Takes the comma from the last line on the left, where JSON has none.
    pub(super) fn drop_comma(&mut self) {
        if let Some((left, _)) = self.0.last_mut()
            && left.ends_with(',')
        {
            left.pop();
        }
    }

    /// Appends the lines below a title, if there are any.
    pub(super) fn write(self, title: &str, out: &mut String) {
        let Some(width) = self.0.iter().map(|(left, _)| left.chars().count()).max() else {
            return;
        };
        let _ = writeln!(out, "\n{title}");
        for (left, right) in self.0 {
            let right = right.replace('\n', &format!("\n{}", " ".repeat(width + 4)));
            let _ = writeln!(out, "{}", format!("{left:0$}{right}", width + 4).trim_end());
        }
    }
}
