//! The little CommonMark that the descriptions use, as HTML.

/// `text` so that it means itself.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// Code and bold words of one line.
pub(super) fn inline(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 32);
    for (nth, part) in text.split('`').enumerate() {
        if nth % 2 == 1 {
            html += &format!("<code>{}</code>", escape(part));
            continue;
        }
        for (nth, part) in part.split("**").enumerate() {
            let part = escape(part);
            html += &if nth % 2 == 1 { format!("<b>{part}</b>") } else { part };
        }
    }
    html
}

/// Paragraphs, and lists whose items are a line each.
pub(super) fn prose(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 64);
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        if block.starts_with("* ") {
            let items = block.lines().map(|line| line.trim_start_matches("* "));
            let items: String = items.map(|item| format!("<li>{}</li>\n", inline(item))).collect();
            html += &format!("<ul>\n{items}</ul>\n");
        } else {
            html += &format!("<p>{}</p>\n", inline(block));
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_that_are_used_become_html() {
        let check = |text: &str, expected: &str| assert_eq!(prose(text), expected, "{text}");
        check("", "");
        check("a `b<c` **d** & e", "<p>a <code>b&lt;c</code> <b>d</b> &amp; e</p>\n");
        check(
            "`**`\n\n* a\n* `b`",
            "<p><code>**</code></p>\n<ul>\n<li>a</li>\n<li><code>b</code></li>\n</ul>\n",
        );
    }
}
