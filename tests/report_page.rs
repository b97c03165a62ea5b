//! `gradsweep report` as a reader sees it: the page in headless Chromium, driven by `tests/readers/report_page.py`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::command_line::{Place, code, stderr};
use crate::python::run_script;

/// A browser of Chromium's family.
fn browser() -> Result<PathBuf, &'static str> {
    let named = std::env::var_os("GRADSWEEP_TEST_BROWSER").map(PathBuf::from);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let known = ["chromium", "chromium-browser", "google-chrome"];
    let mut all = std::env::split_paths(&paths).flat_map(|folder| known.map(|name| folder.join(name)));
    named.or_else(|| all.find(|path| path.exists())).ok_or("there is no chromium on the path")
}

/// Looks at a page; `None` where there is no browser, which continuous integration does not accept.
fn look(check: &str, page: &Path, arguments: &[&str]) -> Option<Json> {
    let browser = match browser() {
        Ok(browser) => browser,
        Err(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{why}"),
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            return None;
        }
    };
    let arguments: Vec<&Path> =
        [browser.as_path(), Path::new(check), page].into_iter().chain(arguments.iter().map(Path::new)).collect();
    let text = run_script("report_page.py", &arguments)?;
    Some(serde_json::from_str(&text).expect("the script prints JSON"))
}

/// 144 networks with everything that figures need: two activations, inits, depths, the plane of tanh, and quantiles.
const EVERYTHING: &str = r#"schema_version = 1
name = "everything"
replicates = 2
[defaults]
batch_size = 8
loss = "cotangent"
width = 24
[[sweep]]
name = "depths"
depth = [4, 8, 12]
activation = ["tanh", "relu", "sigmoid"]
init = ["he_normal", "xavier_normal"]
norm = ["none", "layer"]
[[sweep]]
name = "plane"
depth = 12
activation = "tanh"
init = "mean_field"
sigma_w = { linspace = [0.5, 3.0], num = 6 }
sigma_b = { linspace = [0.0, 1.0], num = 6 }
[record]
statistics = "full"
"#;

pub fn run(sweep: &str) -> Place {
    let place = Place::new(sweep);
    let output = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "out", "-q"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    place
}

fn report(place: &Place) -> PathBuf {
    let output = place.run(&["report", "out"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    place.path("out/report.html")
}

#[test]
fn every_figure_draws_and_obeys_its_controls() {
    let place = run(EVERYTHING);
    look("full", &report(&place), &[]);
}

#[test]
fn the_page_and_the_static_figures_choose_the_same_configurations() {
    // The second has keys that apply to some networks alone, and more of them than a figure can carry.
    let many = "schema_version = 1\nname = \"many\"\n[defaults]\nwidth = 8\nbatch_size = 4\n[[sweep]]\nname = \"a\"\n\
        depth = [4, 6, 8]\nactivation = [\"tanh\", \"relu\", \"gelu\"]\ninit = [\"he_normal\", \"mean_field\", \"orthogonal\"]\n\
        gain = [0.5, 1.0, 2.0]\n[[sweep]]\nname = \"b\"\ndepth = [4, 8]\nresidual = [\"none\", \"pre_act\"]\n\
        residual_scale = [0.5, 1.0]\nactivation = \"relu\"\nloss = [\"mse\", \"cotangent\"]\n";
    // Of its slices those of deep, narrow networks have no value at all.
    let dying = "schema_version = 1\nname = \"dying\"\n[defaults]\nbatch_size = 2\nactivation = \"relu\"\n\
        loss = \"cotangent\"\nreplicates = 3\n[[sweep]]\nname = \"a\"\ndepth = [6, 24, 300]\nwidth = [1, 3]\ngain = [0.5, 0.8, 1.0]\n\
        init = [\"he_normal\", \"he_uniform\"]\n";
    for sweep in [EVERYTHING, many, dying] {
        let place = run(sweep);
        let mut said = serde_json::Map::new();
        for kind in ["gradient", "phase", "depth", "factor"] {
            let output = place.run(&["plot", "out", "--kind", kind]);
            assert_eq!(code(&output), 0, "{}", stderr(&output));
            let sentence = stderr(&output).split_once("): ").map(|(_, rest)| rest.trim().to_string());
            said.insert(kind.to_string(), sentence.expect("a sentence on what is shown").into());
        }
        if let Some(seen) = look("agrees", &report(&place), &[&Json::from(said).to_string()]) {
            assert!(seen["gradient"].as_array().is_some_and(|held| !held.is_empty()), "{seen}");
        }
    }
}

#[test]
fn names_that_are_markup_stay_text() {
    let place =
        run("schema_version = 1\n[[sweep]]\nname = \"s\"\nactivation = [\"tanh\", \"relu\", \"sigmoid\", \"erf\"]\n\
         depth = [3, 5]\nwidth = 8\nbatch_size = 4\nreplicates = 2\n");
    let names = [
        "<img src=x onerror=\"window.pwned=1\">",
        "</script><script>window.pwned=1</script>",
        "<a href=\"javascript:window.pwned=1\">relu</a>",
        "$\\alpha$ & <b>bold</b> %{x} &lt;i&gt;",
    ];
    let mut table = String::from_utf8(place.read("out/networks.csv")).unwrap();
    for (word, name) in ["tanh", "relu", "sigmoid", "erf"].iter().zip(names) {
        table = table.replace(&format!(",{word},"), &format!(",\"{}\",", name.replace('"', "\"\"")));
    }
    fs::write(place.path("out/networks.csv"), table).unwrap();
    let mut manifest: Json = serde_json::from_slice(&place.read("out/manifest.json")).unwrap();
    manifest["identity"]["name"] = names[0].into();
    fs::write(place.path("out/manifest.json"), manifest.to_string()).unwrap();
    look("hostile", &report(&place), &names);
}

#[test]
fn a_single_network_makes_a_page() {
    let place = run("schema_version = 1\n[[sweep]]\nname = \"one\"\ndepth = 5\nwidth = 8\nbatch_size = 4\n");
    look("plain", &report(&place), &["1 network: ", "it takes two keys that vary", "measured"]);
    let output = place.run(&["plot", "out", "--kind", "gradient"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("): log10 |dLoss/dz| of 1 line (1 network)"), "{}", stderr(&output));
    let drawing = String::from_utf8(place.read("gradient.svg")).unwrap();
    assert!(drawing.contains("\nmeasured\n") && drawing.contains("\npredicted\n"));
}

#[test]
fn a_run_of_dead_networks_says_so() {
    let place = run("schema_version = 1\n[[sweep]]\nname = \"dead\"\ndepth = [4, 6]\nwidth = [4, 8]\nbatch_size = 4\n\
         activation = \"relu\"\ninit = \"zeros\"\nreplicates = 3\n");
    look(
        "plain",
        &report(&place),
        &["12 networks: 12 dead", "12 of 12 networks have a gradient of exactly zero", "4 cells with dead"],
    );
    look("zeros", &report(&place), &[]);
    // A figure that takes a logarithm says why there is none.
    let output = place.run(&["plot", "out", "--kind", "depth"]);
    let said =
        "error: all 12 networks here are dead: the gradient is exactly zero, which has neither a depth nor a factor";
    assert_eq!((code(&output), stderr(&output).starts_with(said)), (2, true), "{}", stderr(&output));
}

#[test]
fn networks_that_die_are_counted_in_every_figure() {
    let place = run("schema_version = 1\n[defaults]\nbatch_size = 4\nactivation = \"relu\"\nloss = \"cotangent\"\n\
         init = \"he_normal\"\nreplicates = 6\n[[sweep]]\nname = \"narrow\"\ndepth = [2, 12, 24]\nwidth = [2, 3, 4, 6, 10]\n\
         gain = [0.8, 1.0, 1.2]\nwhere = [\"width * depth > 8\"]\n[record]\nstatistics = \"full\"\n");
    look("deaths", &report(&place), &["depth", "width", "gain"]);

    let table = String::from_utf8(place.read("out/networks.csv")).unwrap();
    let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let [depth, verdict] = ["depth", "verdict"].map(|name| header.iter().position(|c| *c == name).unwrap());
    let cells = |row: &str| row.split(',').map(str::to_string).collect::<Vec<_>>();
    let deep: Vec<Vec<String>> = table.lines().skip(1).map(cells).filter(|row| row[depth] == "24").collect();
    let dead = deep.iter().filter(|row| row[verdict] == "dead").count();
    assert!(dead > 0 && dead < deep.len(), "{dead} of {}", deep.len());
    for kind in ["gradient", "phase", "depth", "factor"] {
        let output = place.run(&["plot", "out", "--kind", kind, "--where", "depth=24"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        // A few lines of a figure over layers are a part of them; the others show all of depth 24.
        if kind != "gradient" {
            let counted = format!("{dead} of {} networks", deep.len());
            assert!(stderr(&output).contains(&format!("{counted} are dead")), "{}", stderr(&output));
            let drawing = String::from_utf8(place.read(&format!("{kind}.svg"))).unwrap();
            assert!(drawing.contains(&counted), "{kind}: no {counted}");
        } else {
            assert!(stderr(&output).contains("networks are dead"), "{}", stderr(&output));
        }
        if kind == "phase" {
            let drawing = String::from_utf8(place.read("phase.svg")).unwrap();
            assert!(stderr(&output).contains("without a value are hatched") && drawing.contains("no value"));
        }
    }
}

#[test]
fn dead_networks_without_a_loss_leave_no_number_for_a_plane() {
    let place = run("schema_version = 1\n[[sweep]]\nname = \"dead\"\ndepth = [4, 6]\nwidth = [4, 8]\nbatch_size = 4\n\
         activation = \"relu\"\ninit = \"zeros\"\nloss = \"cotangent\"\n");
    look("plain", &report(&place), &["4 networks: 4 dead", "because every gradient is exactly zero"]);
}

#[test]
fn without_layers_the_table_and_the_plane_remain() {
    let place = run("schema_version = 1\n[[sweep]]\nname = \"s\"\ndepth = [4, 6]\nwidth = [4, 8]\nbatch_size = 4\n");
    fs::remove_file(place.path("out/layers.csv")).unwrap();
    look("plain", &report(&place), &["there is no layers.csv", "Median log₁₀"]);
}

/// 10,000 networks with 24 layers each and everything that theory says of them, with the columns that the page reads.
const TEN_THOUSAND: &str = r#"schema_version = 1
name = "ten-thousand"
replicates = 4
[defaults]
batch_size = 4
width = 4
depth = 24
init = "mean_field"
loss = "cotangent"
[[sweep]]
name = "plane"
activation = ["tanh", "erf"]
sigma_w = { linspace = [0.5, 2.95], num = 50 }
sigma_b = { linspace = [0.0, 0.96], num = 25 }
[record]
statistics = ["preact_grad_l2", "preact_grad_log10_l2", "log10_grad_ratio", "chi"]
"#;

#[test]
fn ten_thousand_networks_make_a_page_that_opens() {
    let place = run(TEN_THOUSAND);
    let Some(seen) = look("large", &report(&place), &[]) else { return };
    println!("{seen}");
    // What makes a page slow to open: its bytes, above all those that are read before it is ready, and the nodes it draws.
    let at_most = |what: &str, limit: u64| assert!(seen[what].as_u64().unwrap() < limit, "{what}: {seen}");
    at_most("bytes", 6_800_000);
    at_most("bytes_read_at_start", 2_000_000);
    at_most("nodes", 10_000);
    at_most("traces", 100);
    at_most("points", 30_000);
}

#[test]
fn what_is_no_finished_run_is_explained() {
    let place = Place::new("");
    let report = |directory: &str| place.run(&["report", directory]);
    let missing = report("nowhere");
    assert_eq!((code(&missing), stderr(&missing).contains("there is no such directory")), (2, true));
    fs::create_dir(place.path("empty")).unwrap();
    let is_file = report("sweep.toml");
    assert_eq!((code(&is_file), stderr(&is_file).contains("is a file; name the directory")), (2, true));
    let empty = report("empty");
    assert_eq!((code(&empty), stderr(&empty).contains("no networks.csv here")), (2, true));
    fs::write(place.path("empty/networks.csv"), "network,configuration,status\n").unwrap();
    let without = report("empty");
    assert_eq!((code(&without), stderr(&without).contains("has no networks")), (2, true), "{}", stderr(&without));
    fs::write(place.path("empty/networks.csv"), "network,configuration,status\nn-1,c-1\n").unwrap();
    let torn = report("empty");
    assert_eq!(
        (code(&torn), stderr(&torn).contains("line 2: 2 cells under a header of 3")),
        (1, true),
        "{}",
        stderr(&torn)
    );
}

#[test]
fn an_unfinished_run_is_told_from_a_finished_one() {
    let place = run("schema_version = 1\n[[sweep]]\nname = \"s\"\ndepth = 4\nwidth = [4, 8]\nbatch_size = 4\n");
    let mut manifest: Json = serde_json::from_slice(&place.read("out/manifest.json")).unwrap();
    manifest["state"] = "running".into();
    manifest["identity"]["networks"] = 7.into();
    fs::write(place.path("out/manifest.json"), manifest.to_string()).unwrap();
    look("plain", &report(&place), &["this run is not complete: the page shows 2 of 7 networks"]);
    let streamed = place.run(&["report", "out", "-o", "-"]);
    assert!(code(&streamed) == 0 && streamed.stdout.starts_with(b"<!"), "{}", stderr(&streamed));
    assert_eq!(streamed.stdout.len(), place.read("out/report.html").len());
    fs::remove_file(place.path("out/networks.csv")).unwrap();
    let output = place.run(&["report", "out"]);
    assert_eq!(
        (code(&output), stderr(&output).contains("this run is unfinished (2 of 7 networks are done)")),
        (3, true)
    );
}

#[test]
fn every_kind_of_figure_is_drawn_as_svg_and_png() {
    let place = run(EVERYTHING);
    for kind in ["gradient", "phase", "depth", "factor"] {
        for (extension, start) in [("svg", &b"<svg"[..]), ("png", &b"\x89PNG"[..])] {
            let file = format!("{kind}.{extension}");
            let output = place.run(&["plot", "out", "--kind", kind, "-o", &file]);
            assert_eq!(code(&output), 0, "{}", stderr(&output));
            assert!(stderr(&output).contains("median"), "{}", stderr(&output));
            let bytes = place.read(&file);
            assert!(bytes.starts_with(start) && bytes.len() > 5000, "{file}: {} bytes", bytes.len());
        }
    }
    let phase = String::from_utf8(place.read("phase.svg")).unwrap();
    assert!(["sigma_w", "sigma_b", "edge of chaos"].iter().all(|text| phase.contains(text)));
    let held =
        place.run(&["plot", "out", "--kind", "gradient", "--where", "depth=8", "--color-by", "norm", "-o", "g.svg"]);
    assert!(stderr(&held).contains("depth = 8"), "{}", stderr(&held));
    let gradient = String::from_utf8(place.read("g.svg")).unwrap();
    assert!(gradient.contains("norm") && gradient.contains("layer"));
}

#[test]
fn long_numbers_are_short_in_figures_and_whole_in_tables() {
    let place = run("schema_version = 1\n[defaults]\nbatch_size = 4\nwidth = 8\ndepth = 6\ninit = \"mean_field\"\n\
         activation = \"tanh\"\n[[sweep]]\nname = \"digits\"\nsigma_w = { logspace = [0.5, 4.0], num = 16 }\n\
         sigma_b = { linspace = [0.0, 1.0], num = 4 }\n");
    let output = place.run(&["plot", "out", "--kind", "phase"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let drawing = String::from_utf8(place.read("phase.svg")).unwrap();
    assert!(drawing.contains("\n1.149\n") && !drawing.contains("1.14869"), "{drawing}");
    look("digits", &report(&place), &["sigma_w", "1.149", "1.148698355"]);
}

#[test]
fn predictions_without_end_leave_what_was_measured_to_be_seen() {
    let place = run(
        "schema_version = 1\n[defaults]\nbatch_size = 8\nwidth = 32\ndepth = 12\nreplicates = 3\nloss = \"cotangent\"\n\
         init = \"mean_field\"\n[[sweep]]\nname = \"edge\"\nactivation = [\"tanh\", \"erf\", \"relu\"]\n\
         sigma_w = [0.8, 0.9, 0.99999999, 1.1]\nsigma_b = [0.0, 0.05, 0.1, 0.2]\n",
    );
    look("edge", &report(&place), &[]);
    let output = place.run(&["plot", "out", "--kind", "depth"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("beyond the figure, the highest at depth "), "{}", stderr(&output));
    let drawing = String::from_utf8(place.read("depth.svg")).unwrap();
    assert!(drawing.contains("prediction beyond the figure") && !drawing.contains("10⁶"), "{drawing}");
    let colored = place.run(&["plot", "out", "--kind", "depth", "--color-by", "activation"]);
    assert_eq!(code(&colored), 0, "{}", stderr(&colored));
    let drawing = String::from_utf8(place.read("depth.svg")).unwrap();
    assert!(drawing.contains("one colour, several sigma_b"), "{drawing}");
}

#[test]
fn wishes_that_a_run_cannot_fulfil_are_explained() {
    let place = run("schema_version = 1\n[[sweep]]\nname = \"s\"\ndepth = 4\nwidth = [4, 8]\nbatch_size = 4\n");
    let refused = |arguments: &[&str]| {
        let output = place.run(&[&["plot", "out"], arguments].concat());
        (code(&output), stderr(&output))
    };
    for (arguments, text) in [
        (
            &["--kind", "phase"][..],
            "takes two keys that vary, and only `width` does in this run of 2 networks; give two",
        ),
        (&["--kind", "gradient", "--where", "depth=5"], "`depth` is never `5` in this run; it has 4"),
        (&["--kind", "gradient", "--where", "lost=1"], "no network of this run has a key `lost`"),
        (
            &["--kind", "gradient", "--size", "200x200"],
            "is too small for its axes, legend and texts; this one takes at least --size ",
        ),
        (&["--kind", "gradient", "--color-by", "widht"], "did you mean `width`"),
        (&["--kind", "gradient", "--color-by", "depth"], "has one value in this run"),
        (&["--kind", "gradient", "--where", "width=5"], "is never `5` in this run; it has 4, 8"),
        (&["--kind", "gradient", "--x", "width"], "--x: a figure of kind gradient has no such axis to choose"),
        (&["--kind", "depth", "--y", "width"], "--y: a figure of kind depth has no such axis to choose"),
        (&["--kind", "gradient", "-o", "x.pdf"], "written as .svg or .png"),
        (&["--kind", "gradient", "--size", "10x10"], "expected WIDTHxHEIGHT"),
    ] {
        let (code, message) = refused(arguments);
        assert_eq!((code, message.contains(text)), (2, true), "{arguments:?}: {message}");
    }
    // What all have in common may be named, as the sweep file names it; and the size that is named will do.
    let (_, message) = refused(&["--kind", "gradient", "--size", "200x200"]);
    let size = message.trim().rsplit(' ').next().expect("a size");
    for arguments in [&["--where", "loss=mse", "--where", "depth=4"][..], &["--size", size]] {
        let (code, message) = refused(&[&["--kind", "gradient"], arguments].concat());
        assert_eq!(code, 0, "{arguments:?}: {message}");
    }
}

#[test]
fn a_plane_without_a_value_names_one_that_has_some() {
    let place = run(
        "schema_version = 1\n[defaults]\nbatch_size = 2\nactivation = \"relu\"\nloss = \"cotangent\"\nreplicates = 3\n\
         [[sweep]]\nname = \"dying\"\ndepth = [3, 300]\nwidth = [1, 2]\ngain = [0.5, 1.0]\n",
    );
    let plot = |arguments: &[&str]| {
        let output =
            place.run(&[&["plot", "out", "--kind", "phase", "--x", "width", "--y", "gain"], arguments].concat());
        (code(&output), stderr(&output))
    };
    let (code, message) = plot(&["--where", "depth=300"]);
    assert_eq!((code, message.contains("; there are some with --where depth=3")), (2, true), "{message}");
    let (code, message) = plot(&[]);
    assert_eq!((code, message.contains(" at depth = 3")), (0, true), "{message}");
}

#[test]
fn a_run_draws_its_page_at_the_end_if_asked() {
    let place = Place::new("schema_version = 1\n[[sweep]]\nname = \"s\"\ndepth = 4\nwidth = [4, 8]\nbatch_size = 4\n");
    for _ in 0..2 {
        let output = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "out", "--report"]);
        let said = stderr(&output);
        assert_eq!((code(&output), said.contains("out/report.html")), (0, true), "{said}");
        // The look at the gradients, of plain characters off a terminal.
        assert!(
            said.contains("log10 |dLoss/dz| from the first layer to the last:") && said.contains("  width 8  "),
            "{said}"
        );
        assert!(said.is_ascii(), "{said}");
        assert!(fs::read_to_string(place.path("out/report.html")).unwrap().starts_with("<!doctype html>"));
        fs::remove_file(place.path("out/report.html")).unwrap();
    }
    let quiet = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "quiet", "-q"]);
    assert_eq!((code(&quiet), stderr(&quiet)), (0, String::new()));
    let csv = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "-"]);
    let rows = String::from_utf8(csv.stdout).unwrap();
    let cells = rows.lines().next().unwrap().split(',').count();
    assert!(rows.lines().count() == 1 + 2 * 6 && rows.lines().all(|row| row.split(',').count() == cells), "{rows}");
    let streamed = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "-", "--report"]);
    assert_eq!((code(&streamed), stderr(&streamed).contains("name a directory")), (2, true));
}
