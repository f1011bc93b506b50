//! What a client would rather have: `Accept`, `Accept-Encoding` and `If-None-Match`.

use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};

/// One item of a list: its name, parameters, and weight.
struct Item<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    weight: f32,
}

fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Item<'_>> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut weight = 1.0;
        let mut parameters = Vec::new();
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            if key.trim().eq_ignore_ascii_case("q") {
                weight = value.parse().unwrap_or(0.0);
            } else {
                parameters.push((key.trim(), value));
            }
        }
        Item { name, parameters, weight }
    })
}

/// Whether an answer may be compressed by gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for item in items(headers, header::ACCEPT_ENCODING) {
        if item.name.eq_ignore_ascii_case("gzip") {
            return item.weight > 0.0;
        }
        if item.name == "*" {
            any = Some(item.weight > 0.0);
        }
    }
    any.unwrap_or(false)
}

/// The weight that the client gives to a media type, without regard to ranges such as `text/*`.
/// A version that is asked for must be `version`. 0 when it is not named.
pub(super) fn weight_of(headers: &HeaderMap, media_type: &str, version: Option<&str>) -> f32 {
    let fits = |item: &Item<'_>| {
        let wanted = item.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case("version"));
        item.name.eq_ignore_ascii_case(media_type)
            && wanted.is_none_or(|(_, wanted)| version.is_none_or(|version| version == *wanted))
    };
    items(headers, header::ACCEPT).filter(fits).map(|item| item.weight).fold(0.0, f32::max)
}

/// Whether the client has what `tag` stands for already.
pub(super) fn has(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).into_iter();
    tags.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == "*" || known.as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn gzip_is_taken_where_it_is_named_or_anything_is() {
        let check = |values: &[&str], expected: bool| {
            let headers = headers(&header::ACCEPT_ENCODING, values);
            assert_eq!(accepts_gzip(&headers), expected, "{values:?}");
        };
        check(&[], false);
        check(&["gzip"], true);
        check(&["deflate, GZIP;q=0.5"], true);
        check(&["br", "gzip"], true);
        check(&["gzip;q=0"], false);
        check(&["gzip; q=0.000, *"], false);
        check(&["*"], true);
        check(&["*;q=0"], false);
        check(&["identity"], false);
    }

    #[test]
    fn the_weight_of_a_media_type_is_that_of_its_best_item() {
        let check = |values: &[&str], version: Option<&str>, expected: f32| {
            let headers = headers(&header::ACCEPT, values);
            let weight = weight_of(&headers, "application/x", version);
            assert!((weight - expected).abs() < 1e-6, "{values:?}: {weight}");
        };
        check(&[], None, 0.0);
        check(&["application/x"], None, 1.0);
        check(&["text/plain;q=0.9, Application/X;q=0.5"], None, 0.5);
        check(&["application/x;version=2;q=0.9,application/x;version=1;q=0.4"], Some("1"), 0.4);
        check(&["application/x;version=\"1\""], Some("1"), 1.0);
        check(&["application/x;version=2"], Some("1"), 0.0);
        check(&["application/x;q=much"], None, 0.0);
        check(&["*/*"], None, 0.0);
    }

    #[test]
    fn a_tag_is_known_weak_or_strong() {
        let tag = HeaderValue::from_static("\"a-1\"");
        let check = |values: &[&str], expected: bool| {
            assert_eq!(has(&headers(&header::IF_NONE_MATCH, values), &tag), expected, "{values:?}");
        };
        check(&[], false);
        check(&["\"a-1\""], true);
        check(&["W/\"a-1\""], true);
        check(&["\"a-2\", \"a-1\""], true);
        check(&["\"a-2\""], false);
        check(&["*"], true);
    }
}
