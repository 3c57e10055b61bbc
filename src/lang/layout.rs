//! A small document algebra for the printer (after Wadler, "A prettier printer", 2003): a group is
//! set on one line where it fits, otherwise each of its lines breaks.

/// A document.
#[derive(Clone, Debug)]
pub enum Doc {
    /// Text without newlines.
    Text(String),
    /// A space, or a newline.
    Line,
    /// Nothing, or a newline.
    Soft,
    /// A newline, always; breaks every group around it.
    Hard,
    /// Indented by one step.
    Nest(Box<Doc>),
    /// On one line where it fits.
    Group(Box<Doc>),
    /// One after another.
    Cat(Vec<Doc>),
}

/// Blanks of one step.
const INDENT: usize = 2;

/// Text.
pub fn text(s: impl Into<String>) -> Doc {
    Doc::Text(s.into())
}
/// One after another.
pub fn cat(docs: impl IntoIterator<Item = Doc>) -> Doc {
    Doc::Cat(docs.into_iter().collect())
}
/// Indented.
pub fn nest(doc: Doc) -> Doc {
    Doc::Nest(Box::new(doc))
}
/// On one line where it fits.
pub fn group(doc: Doc) -> Doc {
    Doc::Group(Box::new(doc))
}
/// With `between` between.
pub fn join(docs: impl IntoIterator<Item = Doc>, between: &Doc) -> Doc {
    let mut out = Vec::new();
    for doc in docs {
        if !out.is_empty() {
            out.push(between.clone());
        }
        out.push(doc);
    }
    Doc::Cat(out)
}

impl Doc {
    /// The first character that is printed.
    pub fn first_char(&self) -> Option<char> {
        let mut todo = vec![self];
        while let Some(doc) = todo.pop() {
            match doc {
                Doc::Text(s) if s.is_empty() => {}
                Doc::Text(s) => return s.chars().next(),
                Doc::Nest(d) | Doc::Group(d) => todo.push(d),
                Doc::Cat(ds) => todo.extend(ds.iter().rev()),
                _ => {}
            }
        }
        None
    }

    /// Sets the document for lines of so many characters.
    pub fn render(&self, width: usize) -> String {
        let mut out = String::new();
        let mut column = 0;
        let mut todo: Vec<(usize, bool, &Doc)> = vec![(0, false, self)];
        while let Some((indent, flat, doc)) = todo.pop() {
            match doc {
                Doc::Text(s) => {
                    out.push_str(s);
                    column += s.chars().count();
                }
                Doc::Line if flat => {
                    out.push(' ');
                    column += 1;
                }
                Doc::Soft if flat => {}
                Doc::Line | Doc::Soft | Doc::Hard => {
                    while out.ends_with(' ') {
                        out.pop();
                    }
                    out.push('\n');
                    out.extend(std::iter::repeat_n(' ', indent));
                    column = indent;
                }
                Doc::Nest(d) => todo.push((indent + INDENT, flat, d)),
                Doc::Group(d) => {
                    let flat = flat || fits(d, &todo, width.saturating_sub(column));
                    todo.push((indent, flat, d));
                }
                Doc::Cat(ds) => todo.extend(ds.iter().rev().map(|d| (indent, flat, d))),
            }
        }
        out
    }
}

/// Does `doc` on one line, with what follows up to the next break, fit into so many characters?
fn fits(doc: &Doc, rest: &[(usize, bool, &Doc)], room: usize) -> bool {
    let mut left = room as isize;
    let mut todo = vec![(true, doc)];
    let mut after = rest.iter().rev();
    loop {
        let Some((flat, doc)) = todo.pop().or_else(|| after.next().map(|&(_, flat, d)| (flat, d))) else {
            return true;
        };
        match doc {
            Doc::Text(s) => left -= s.chars().count() as isize,
            Doc::Line if flat => left -= 1,
            Doc::Soft if flat => {}
            Doc::Hard if flat => return false,
            Doc::Line | Doc::Soft | Doc::Hard => return true,
            // What follows may break wherever it can.
            Doc::Nest(d) => todo.push((flat, d)),
            Doc::Group(d) => todo.push((flat, d)),
            Doc::Cat(ds) => todo.extend(ds.iter().rev().map(|d| (flat, d))),
        }
        if left < 0 {
            return false;
        }
    }
}
