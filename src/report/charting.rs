//! The charting library that the `plotly` crate carries, with what the page does not draw left out: it starts fifty kinds of
//! traces, maps and three dimensions among them, of which a page needs three, and parsing and starting the rest took most of
//! a page's opening and of its bytes. The parts that are left are as they came.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Kinds of traces that the page draws beside lines and points, which belong to the library's core.
const TRACES: [&str; 2] = ["heatmap", "contour"];

/// The library as the text of a script, without the typesetting one beside it.
pub static LIBRARY: LazyLock<String> = LazyLock::new(|| {
    let whole = shipped();
    with_traces(&whole, &TRACES).unwrap_or(whole)
});

fn shipped() -> String {
    let tags = plotly::Plot::offline_js_sources();
    let script = tags.split_once('>').and_then(|(_, rest)| rest.split_once("</script>")).map(|(script, _)| script);
    script.unwrap_or_default().to_string()
}

/// The library with these kinds of traces alone. It is a list of modules, `var a=ye((exports,module)=>{...});`, that call
/// each other by name, `a()`; the last one starts the kinds of traces: `.register([b(),c(),...])`. A kind's own module names
/// it, `name:"heatmap"`, and another hands it on to the list. `None` where the library is not written in this way; then all
/// of it goes into the page, which takes longer and draws the same.
fn with_traces(library: &str, kinds: &[&str]) -> Option<String> {
    const LIST: &str = ".register([";
    let start = library.rfind(LIST)? + LIST.len();
    let end = start + library[start..].find("])")?;
    let (head, modules) = modules(library)?;
    let bodies: HashMap<&str, &str> = modules.iter().copied().collect();
    let entries: Vec<&str> = library[start..end].split(',').map(|entry| entry.trim_end_matches("()")).collect();
    let named = |entry: &&&str, kind: &str| {
        let (_, rest) = bodies.get(**entry)?.split_once(".exports=")?;
        bodies.get(rest.split_once("()")?.0)?.contains(&format!("name:\"{kind}\"")).then_some(())
    };
    let kept: Option<Vec<&str>> =
        kinds.iter().map(|kind| entries.iter().find(|entry| named(entry, kind).is_some()).copied()).collect();
    let list = kept?.iter().map(|entry| format!("{entry}()")).collect::<Vec<_>>().join(",");

    // What the last module names, what that names, and so on. A piece that is not one module alone stays.
    let (last, before) = modules.split_last()?;
    let last_start = library.len() - last.1.len();
    let last_piece = [&library[last_start..start], &list, &library[end..]].concat();
    let alone = |piece: &str| piece.ends_with("});") && !piece.contains("=Ll(");
    let mut needed: HashSet<&str> = before.iter().filter(|(_, piece)| !alone(piece)).map(|(name, _)| *name).collect();
    let mut open: Vec<&str> = needed.iter().map(|name| bodies[name]).collect();
    open.extend([head, &last_piece]);
    // It names itself, with the whole list.
    needed.insert(last.0);
    while let Some(piece) = open.pop() {
        for name in words(piece) {
            if let Some((name, body)) = bodies.get_key_value(name)
                && needed.insert(name)
            {
                open.push(body);
            }
        }
    }
    let pieces = before.iter().filter(|(name, _)| needed.contains(name)).map(|(_, piece)| *piece);
    Some(std::iter::once(head).chain(pieces).chain([last_piece.as_str()]).collect())
}

/// What stands before the first module, and every module's name and text up to the next one.
fn modules(library: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    const VARIABLE: &str = ";var ";
    let start = |(place, _): (usize, &str)| {
        let rest = &library[place + VARIABLE.len()..];
        let name = &rest[..rest.find(|c: char| !in_word(c))?];
        rest[name.len()..].starts_with("=ye(").then_some((place + 1, name))
    };
    let starts: Vec<(usize, &str)> = library.match_indices(VARIABLE).filter_map(start).collect();
    let ends = starts.iter().skip(1).map(|s| s.0).chain([library.len()]);
    let head = &library[..starts.first()?.0];
    Some((head, starts.iter().zip(ends).map(|((start, name), end)| (*name, &library[*start..end])).collect()))
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !in_word(c)).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charting_library_is_there_and_alone() {
        assert!(LIBRARY.starts_with("/**\n* plotly.js v"), "{}", &LIBRARY[..80.min(LIBRARY.len())]);
        assert!(LIBRARY.len() > 500_000 && !LIBRARY.contains("<script"));
        assert!(LIBRARY.trim_end().ends_with("return Plotly;\n}));") && LIBRARY.contains("MIT"));
    }

    #[test]
    fn a_third_of_it_is_left() {
        let list = LIBRARY.rsplit_once(".register([").and_then(|(_, rest)| rest.split_once("])")).unwrap().0;
        assert_eq!(list.split(',').count(), TRACES.len(), "{list}");
        assert!(LIBRARY.len() < shipped().len() / 3, "{} of {}", LIBRARY.len(), shipped().len());
        for gone in ["maplibregl", "parcoords"] {
            assert!(words(&shipped()).any(|word| word == gone) && !words(&LIBRARY).any(|word| word == gone), "{gone}");
        }
    }

    #[test]
    fn modules_that_nothing_names_go_and_pieces_that_hold_more_than_a_module_stay() {
        let library = "head;var u=ye(e=>{e.x=1});var b=ye((r,o)=>{o.exports={name:\"bar\"}});\
                       var B=ye((r,o)=>{o.exports=b()});var h=ye((r,o)=>{u();o.exports={name:\"heatmap\"}});\
                       var H=ye((r,o)=>{o.exports=h()});var k=ye(e=>{});function kept(){}\
                       ;var m=ye(e=>{});var l=Ll(()=>{});\
                       ;var x=ye((r,o)=>{p.register([B(),H()]);o.exports=p});tail";
        let cut = with_traces(library, &["heatmap"]).unwrap();
        let without =
            library.replace("var b=ye((r,o)=>{o.exports={name:\"bar\"}});var B=ye((r,o)=>{o.exports=b()});", "");
        assert_eq!(cut, without.replace("B(),H()", "H()"));
        assert_eq!(with_traces(library, &["contour"]), None);
        assert_eq!(with_traces("no library", &TRACES), None);
    }
}
