//! Reports: one HTML file with text, tables and plots that needs nothing else to be read.
//!
//! A [`Page`] is filled from top to bottom and [`Page::finish`] gives the file. Plots are SVG in the
//! page (see [`plot`]), so that a report can be mailed, printed and zoomed.

pub mod plot;

use crate::markup::escape;
use std::fmt::Write;

const STYLE: &str =
    "body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:76rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{margin-top:2.2rem;border-bottom:1px solid #ddd;font-size:1.15rem}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
td,th{padding:.15rem .6rem;border-bottom:1px solid #eee;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left}tr.mark{color:#777;background:#fafafa}
th{position:sticky;top:0;background:#fff}.scroll{overflow:auto}
pre{background:#f6f6f8;padding:.6rem;border-radius:6px;overflow:auto;font:13px ui-monospace,monospace}
figure{margin:.8rem 0;display:inline-block}figcaption{font-size:13px;color:#555;max-width:40rem}";

/// A page under construction.
pub struct Page {
    body: String,
    title: String,
}

impl Page {
    /// An empty page with a title.
    pub fn new(title: &str) -> Self {
        Page { body: format!("<h1>{}</h1>\n", escape(title)), title: title.to_owned() }
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) -> &mut Self {
        let _ = writeln!(self.body, "<h2>{}</h2>", escape(text));
        self
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let _ = writeln!(self.body, "<p>{}</p>", escape(text));
        self
    }

    /// Text as it stands: programs, commands.
    pub fn code(&mut self, text: &str) -> &mut Self {
        let _ = writeln!(self.body, "<pre>{}</pre>", escape(text));
        self
    }

    /// A table; the first column is the name, the others are figures. Rows that are `marked` stand
    /// back (baselines).
    pub fn table(&mut self, header: &[&str], rows: &[(bool, Vec<String>)]) -> &mut Self {
        let cells = |tag: &str, row: &mut dyn Iterator<Item = &str>| -> String {
            row.map(|c| format!("<{tag}>{}</{tag}>", escape(c))).collect()
        };
        let head = cells("th", &mut header.iter().copied());
        let _ = writeln!(self.body, "<div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>");
        for (marked, row) in rows {
            let class = if *marked { " class=\"mark\"" } else { "" };
            let _ =
                writeln!(self.body, "<tr{class}>{}</tr>", cells("td", &mut row.iter().map(String::as_str)));
        }
        self.body += "</tbody></table></div>\n";
        self
    }

    /// A picture (SVG text) and what it shows.
    pub fn figure(&mut self, svg: &str, caption: &str) -> &mut Self {
        let _ = writeln!(self.body, "<figure>{svg}<figcaption>{}</figcaption></figure>", escape(caption));
        self
    }

    /// The file.
    pub fn finish(self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\
<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n{}\
<p><small>lpz {}</small></p></body></html>\n",
            escape(&self.title),
            self.body,
            env!("CARGO_PKG_VERSION")
        )
    }
}

/// A statistic with three digits, or a dash where it does not exist.
pub fn statistic(x: Option<f64>) -> String {
    x.map_or_else(|| "-".to_owned(), |x| format!("{x:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_is_escaped() {
        let mut page = Page::new("a <b>");
        page.text("x & y").table(&["<h>"], &[(true, vec!["\"q\"".to_owned()])]).code("if a < b");
        let html = page.finish();
        assert!(html.contains("<title>a &lt;b&gt;</title>"), "{html}");
        assert!(
            html.contains("x &amp; y") && html.contains("&lt;h&gt;") && html.contains("a &lt; b"),
            "{html}"
        );
        assert!(html.contains("<tr class=\"mark\"><td>&quot;q&quot;</td></tr>"), "{html}");
    }
}
