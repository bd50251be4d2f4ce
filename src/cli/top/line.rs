//! A line in pieces, and how each is to look.

/// How a piece of a line is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Plain,
    Strong,
    Soft,
    Good,
    Noted,
    Bad,
    Picked,
}

/// One line, in pieces.
#[derive(Debug, Clone, Default)]
pub struct Line(Vec<(Look, String)>);

impl Line {
    pub fn of(look: Look, text: impl Into<String>) -> Self {
        Self(vec![(look, text.into())])
    }

    pub fn and(mut self, look: Look, text: impl Into<String>) -> Self {
        self.0.push((look, text.into()));
        self
    }

    /// A column of that width.
    pub fn cell(self, look: Look, text: &str, width: usize) -> Self {
        let cut = short(text, width);
        let pad = width.saturating_sub(cut.chars().count());
        self.and(look, format!("{cut}{}  ", " ".repeat(pad)))
    }

    /// As a terminal shows it, at most so wide.
    pub fn painted(&self, width: usize, colour: bool) -> String {
        let (mut out, mut left) = (String::new(), width);
        for (look, text) in &self.0 {
            // What others have named must not move the cursor.
            let text: String = text.chars().filter(|c| !c.is_control()).take(left).collect();
            left -= text.chars().count();
            let code = match look {
                Look::Plain => "",
                Look::Strong => "1",
                Look::Soft => "2",
                Look::Good => "32",
                Look::Noted => "33",
                Look::Bad => "31;1",
                Look::Picked => "7",
            };
            if colour && !code.is_empty() {
                out += &format!("\x1b[{code}m{text}\x1b[0m");
            } else {
                out += &text;
            }
        }
        out.trim_end().to_owned()
    }
}

/// A text that is no wider than that.
pub fn short(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
