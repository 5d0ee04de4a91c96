//! What a browser shows while an app does not build: the same as the terminal, as a page that asks again
//! until there is something else.

use anstream::adapter::strip_str;
use dayfly_host::Notice;

const PAGE: &str = include_str!("page.html");

/// A page that says what is wrong.
pub(super) fn notice(title: &str, text: &str) -> Notice {
    let page = PAGE.replace("{title}", &escaped(title));
    // Last, because what is said may hold anything.
    let page = page.replace("{text}", &escaped(&strip_str(text).to_string()));
    Notice::new(page, &format!("{title}: see the terminal of `dayfly watch`"))
}

/// A text as it stands in HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_text() {
        assert_eq!(escaped("<a b=\"'\">&\n\u{7}"), "&lt;a b=&quot;&#39;&quot;&gt;&amp;\n\u{fffd}");
    }
}
