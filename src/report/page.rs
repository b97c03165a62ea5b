//! `report.html`: one page that holds the aggregated run as JSON, the charting library, and our own script and style.
//! It loads nothing, and its policy forbids it to; scripts run by a nonce that names in a run cannot foresee.

use serde::Serialize;

use super::charting::LIBRARY;
use super::choice::{CHOICES, Choices};
use super::data::{Configuration, DISTRIBUTIONS, METRICS, OUTCOMES, PREDICTIONS, Run};

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");

/// In the order in which they stand in the page: one script, so they share one scope.
const SCRIPTS: [&str; 10] = [
    include_str!("page/data.js"),
    include_str!("page/color.js"),
    include_str!("page/frame.js"),
    include_str!("page/gradient.js"),
    include_str!("page/phase.js"),
    include_str!("page/contour.js"),
    include_str!("page/depth.js"),
    include_str!("page/distribution.js"),
    include_str!("page/factor.js"),
    include_str!("page/table.js"),
];
const MAIN: &str = include_str!("page/main.js");

/// The run with the names of its columns.
#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    run: &'a Run,
    tables: Tables,
}

#[derive(Serialize)]
struct Tables {
    choices: &'static Choices,
    metrics: [&'static str; METRICS.len()],
    predictions: [&'static str; PREDICTIONS.len()],
    outcomes: [&'static str; OUTCOMES.len()],
    quantities: [&'static str; DISTRIBUTIONS.len()],
    distributions: [&'static str; DISTRIBUTIONS.len()],
}

/// The text of the page.
pub fn page(run: &Run) -> String {
    let tables = Tables {
        choices: &CHOICES,
        metrics: METRICS,
        predictions: PREDICTIONS,
        outcomes: OUTCOMES,
        quantities: DISTRIBUTIONS.map(|(column, _)| column),
        distributions: DISTRIBUTIONS.map(|(_, name)| name),
    };
    let json = serde_json::to_string(&Data { run, tables }).expect("strings and numbers always serialise");
    let data = embedded(&json);
    let [profiles, distributions] = [lines(run, |c| c.profile.as_ref()), lines(run, |c| c.distribution.as_ref())];
    let nonce = blake3::hash(data.as_bytes()).to_hex()[..24].to_string();
    let script = format!("\"use strict\";\n(() => {{\n{}\n{MAIN}}})();\n", SCRIPTS.join("\n"));
    let title = escaped(&run.name);
    let footer = format!("Made by gradsweep {} from the tables of this run.", env!("CARGO_PKG_VERSION"));
    fill(TEMPLATE, |place| match place {
        "nonce" => &nonce,
        "title" => &title,
        "style" => STYLE,
        "footer" => &footer,
        "data" => &data,
        "profiles" => &profiles,
        "distributions" => &distributions,
        "plotly" => &LIBRARY,
        "script" => &script,
        _ => "",
    })
}

/// The template with its places filled, in one pass: what is put in is not looked at again.
fn fill<'a>(template: &str, value: impl Fn(&str) -> &'a str) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((place, after)) = after.split_once("}}") else { break };
        page.push_str(before);
        page.push_str(value(place));
        rest = after;
    }
    page + rest
}

/// What belongs to every configuration as JSON, a line each, which the page reads one by one when it needs them: reading
/// all of them took longer than everything else that a page does with its data.
fn lines<'a, T: Serialize + 'a>(run: &'a Run, part: impl Fn(&'a Configuration) -> Option<&'a T>) -> String {
    let json =
        |c: &'a Configuration| part(c).map(|part| serde_json::to_string(part).expect("numbers always serialise"));
    let lines: Vec<String> = run.configurations.iter().map(|c| json(c).unwrap_or_default()).collect();
    embedded(&lines.join("\n"))
}

/// JSON that a script element can hold: nothing in it ends the element or opens a comment.
fn embedded(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_inside_their_element() {
        let evil = "</script><img src=x onerror=alert(1)><!--{{script}}";
        let run = Run { name: evil.to_string(), notes: vec![evil.to_string()], ..Run::default() };
        let page = page(&run);
        assert!(!page.contains("<img"));
        let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
        let data = page[start..].split("</script>").next().unwrap();
        let json: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(json["notes"][0], evil);
    }
}
