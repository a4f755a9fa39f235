//! HTML under construction: markup comes from the program alone, and everything else is escaped, always.

use std::fmt::{Display, Write};

/// A piece of HTML.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup with a value for each `{}` in it. `'static` keeps what others have written out of the markup.
    pub(super) fn add(&mut self, markup: &'static str, values: &[&dyn Display]) {
        let mut pieces = markup.split("{}");
        self.0.push_str(pieces.next().unwrap_or_default());
        debug_assert_eq!(pieces.clone().count(), values.len(), "values for {markup}");
        for (piece, value) in pieces.zip(values) {
            // Writing to a string does not fail.
            let _ = write!(Escaping(&mut self.0), "{value}");
            self.0.push_str(piece);
        }
    }

    /// Begins a panel that is one table, with these columns as for [`add_columns`](Self::add_columns).
    pub(super) fn begin_panel(
        &mut self,
        id: &'static str,
        title: &'static str,
        columns: &[(&'static str, &'static str)],
    ) {
        self.add(
            "<section class=\"panel\" aria-labelledby=\"{}\"><h2 id=\"{}\">{}</h2><table role=\"table\">",
            &[&id, &id, &title],
        );
        self.add_columns(columns);
    }

    /// Ends what [`begin_panel`](Self::begin_panel) has begun.
    pub(super) fn end_panel(&mut self) {
        self.0.push_str("</tbody></table></section>");
    }

    /// Adds a table's head and begins its body: of each column the class, if it has one, and the label, which is markup.
    pub(super) fn add_columns(&mut self, columns: &[(&'static str, &'static str)]) {
        self.0.push_str("<thead role=\"rowgroup\"><tr role=\"row\">");
        for (class, label) in columns {
            self.0.push_str("<th role=\"columnheader\" scope=\"col\"");
            if !class.is_empty() {
                self.add(" class=\"{}\"", &[class]);
            }
            self.0.push('>');
            self.0.push_str(label);
            self.0.push_str("</th>");
        }
        self.0.push_str("</tr></thead><tbody role=\"rowgroup\">");
    }

    /// The text of it.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Escapes what means something in text and in quoted attributes (HTML Living Standard, section 13.3).
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o6_values_are_escaped_and_markup_is_not() {
        let mut html = Html::default();
        html.add("<b title=\"{}\">{}</b>", &[&"\"'&", &"<script>alert(1)</script>"]);
        assert_eq!(
            html.into_text(),
            "<b title=\"&quot;&#39;&amp;\">&lt;script&gt;alert(1)&lt;/script&gt;</b>"
        );
    }

    #[test]
    fn a_column_has_the_class_that_it_is_given() {
        let mut html = Html::default();
        html.add_columns(&[("", "Node"), ("number", "<i>Sessions</i>")]);
        assert_eq!(
            html.into_text(),
            "<thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" scope=\"col\">Node</th>\
             <th role=\"columnheader\" scope=\"col\" class=\"number\"><i>Sessions</i></th></tr></thead>\
             <tbody role=\"rowgroup\">"
        );
    }

    #[test]
    fn a_value_is_no_markup_even_if_it_has_a_place_for_a_value() {
        let mut html = Html::default();
        html.add("{}, {}", &[&"{}", &1]);
        assert_eq!(html.into_text(), "{}, 1");
    }
}
