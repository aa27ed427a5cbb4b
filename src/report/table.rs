//! HTML tables: numbers to the right, columns that the page's script sorts.

use super::svg::escape;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    text: String,
    /// What it is sorted by, where that is not its text.
    value: Option<f64>,
    class: &'static str,
    link: Option<String>,
}

impl Cell {
    /// Text.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), value: None, class: "", link: None }
    }

    /// A number as it is shown, and what it is sorted by; nothing sorts before everything.
    pub fn number(shown: impl Into<String>, value: Option<f64>) -> Cell {
        let value = Some(value.unwrap_or(f64::NEG_INFINITY));
        Cell { text: shown.into(), value, class: "n", link: None }
    }

    /// A whole number.
    pub fn count(count: usize) -> Cell {
        Cell::number(count.to_string(), Some(count as f64))
    }

    /// Something to be typed or compared letter by letter.
    pub fn code(text: impl Into<String>) -> Cell {
        Cell { class: "code", ..Cell::text(text) }
    }

    /// The label of a score, in its colour.
    pub fn label(label: crate::score::Label) -> Cell {
        use crate::score::Label;
        let (class, mark) = match label {
            Label::Fragile => ("fragile", "▼ "),
            Label::Robust => ("robust", "• "),
            Label::Antifragile => ("antifragile", "▲ "),
            _ => ("", ""),
        };
        Cell { class, ..Cell::text(format!("{mark}{label}")) }
    }

    /// The same with a link.
    pub fn linked(self, link: Option<String>) -> Cell {
        Cell { link, ..self }
    }

    fn html(&self) -> String {
        let class = if self.class.is_empty() { String::new() } else { format!(r#" class="{}""#, self.class) };
        let value = self.value.map_or(String::new(), |value| format!(r#" data-s="{value}""#));
        let text = escape(&self.text);
        let text = match &self.link {
            Some(link) => format!(r#"<a href="{}">{text}</a>"#, escape(link)),
            None => text,
        };
        format!("<td{class}{value}>{text}</td>")
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    caption: String,
    heads: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Without rows.
    pub fn new(caption: impl Into<String>, heads: &[&str]) -> Table {
        let heads = heads.iter().map(|head| (*head).to_owned()).collect();
        Table { caption: caption.into(), heads, rows: Vec::new() }
    }

    /// Adds a row, a cell per column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table, in a box of its own that scrolls where it is wider than the page.
    pub fn html(&self) -> String {
        let is_number =
            |column: usize| self.rows.first().and_then(|row| row.get(column)).is_some_and(|c| c.class == "n");
        let heads = self.heads.iter().enumerate().map(|(column, head)| {
            let class = if is_number(column) { r#" class="n""# } else { "" };
            format!("<th scope=\"col\"{class}>{}</th>", escape(head))
        });
        let mut html = format!(
            "<div class=\"scroll\"><table><caption>{}</caption>\n<thead><tr>{}</tr></thead>\n<tbody>\n",
            escape(&self.caption),
            heads.collect::<String>()
        );
        for row in &self.rows {
            html += &format!("<tr>{}</tr>\n", row.iter().map(Cell::html).collect::<String>());
        }
        html + "</tbody></table></div>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_escaped_and_numbers_know_their_value() {
        let mut table = Table::new("a & b", &["layer", "score"]);
        table.row(vec![Cell::text("<i>"), Cell::number("+0.5 ± 0.1", Some(0.5))]);
        table.row(vec![Cell::text("x").linked(Some("a\"b".into())), Cell::number("–", None)]);
        let html = table.html();
        for part in [
            "<caption>a &amp; b</caption>",
            r#"<th scope="col" class="n">score</th>"#,
            r#"<td>&lt;i&gt;</td><td class="n" data-s="0.5">+0.5 ± 0.1</td>"#,
            r#"<td><a href="a&quot;b">x</a></td><td class="n" data-s="-inf">–</td>"#,
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
    }
}
