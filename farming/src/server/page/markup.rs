//! A page written piece by piece.
//!
//! Invariant: every text that is put in is escaped here, so nothing that somebody wrote becomes markup.

/// What it looks like; served beside it, because the page's policy forbids styles inside.
pub(in crate::server) const STYLE: &str = include_str!("style.css");

/// A page on its way.
pub(super) struct Page(String);

impl Page {
    pub fn new(title: &str) -> Self {
        let mut page = Page(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <link rel=\"stylesheet\" href=\"me.css\">"
                .to_owned(),
        );
        for tag in ["title", "h1"] {
            page.tagged(tag, title);
        }
        page
    }

    pub fn heading(&mut self, text: &str) {
        self.tagged("h2", text);
    }

    pub fn note(&mut self, text: &str) {
        self.tagged("p", text);
    }

    /// Names with a value each.
    pub fn facts(&mut self, facts: &[(&str, String)]) {
        self.0.push_str("<dl>");
        for (name, value) in facts {
            self.0.push_str("<div>");
            self.tagged("dt", name);
            self.tagged("dd", value);
            self.0.push_str("</div>");
        }
        self.0.push_str("</dl>");
    }

    /// A table; where it has no rows, what there would be.
    pub fn table<const N: usize>(
        &mut self,
        columns: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
        empty: &str,
    ) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return self.note(empty);
        }
        self.0.push_str("<table><thead><tr>");
        columns.iter().for_each(|name| self.tagged("th", name));
        self.0.push_str("</tr></thead><tbody>");
        for row in rows {
            self.0.push_str("<tr>");
            row.iter().for_each(|cell| self.tagged("td", cell));
            self.0.push_str("</tr>");
        }
        self.0.push_str("</tbody></table>");
    }

    pub fn text(self) -> String {
        self.0 + "</html>"
    }

    fn tagged(&mut self, tag: &str, text: &str) {
        let text = escaped(text);
        self.0.push_str(&format!("<{tag}>{text}</{tag}>"));
    }
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut safe, letter| {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_farmers_wrote_is_escaped() {
        let mut page = Page::new("<b>&'\"");
        page.facts(&[("a", "<script>".into())]);
        page.table(["x"], [["<i>".to_owned()]], "none");
        page.table(["x"], [], "nothing <here>");
        let text = page.text();
        assert!(text.contains("<h1>&lt;b&gt;&amp;&#39;&quot;</h1>"), "{text}");
        assert!(text.contains("&lt;script&gt;") && text.contains("<td>&lt;i&gt;</td>"), "{text}");
        assert!(text.contains("<p>nothing &lt;here&gt;</p>"), "{text}");
    }
}
