//! `gradsweep plot`: one figure of a finished run as SVG or PNG.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::files;
use crate::report::plot::{Kind, Wish, png, svg};
use crate::report::{self, Budget};
use crate::run::human;

/// Draw one figure of a finished run as SVG or PNG
///
/// The figures are those of `gradsweep report`, on white, for papers. Keys that are not named are chosen: what is held at
/// which value is said at the end.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep plot runs/first --kind gradient
  gradsweep plot runs/first --kind gradient --color-by init --where activation=tanh -o tanh.png
  gradsweep plot runs/phase --kind phase --x sigma_w --y sigma_b -o phase.svg
  gradsweep plot runs/phase --kind phase --color-by depth_scale
  gradsweep plot runs/phase --kind depth --x sigma_w --where sigma_b=0.5")]
pub struct Args {
    /// Directory of a finished run
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Which figure
    #[arg(long, value_enum, value_name = "KIND")]
    kind: KindArg,
    /// File to write, .svg or .png [default: <KIND>.svg]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Key across (phase, depth)
    #[arg(long, value_name = "KEY")]
    x: Option<String>,
    /// Key up (phase)
    #[arg(long, value_name = "KEY")]
    y: Option<String>,
    /// Key that colours lines and points; for phase the column of networks.csv that colours the cells
    #[arg(long, value_name = "KEY")]
    color_by: Option<String>,
    /// Hold a key at a value; may be given several times
    #[arg(long = "where", value_name = "KEY=VALUE", value_parser = pair)]
    hold: Vec<(String, String)>,
    /// Text above the figure
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Width and height in pixels; a PNG has three times as many
    #[arg(long, value_name = "WxH", default_value = "900x540", value_parser = size)]
    size: (u32, u32),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindArg {
    /// Gradient norm against layer
    Gradient,
    /// Heat map over two keys, with the edge of chaos
    Phase,
    /// Trainable depth against scale
    Depth,
    /// Factor per layer, measured against predicted
    Factor,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Kind {
        match kind {
            KindArg::Gradient => Kind::Gradient,
            KindArg::Phase => Kind::Phase,
            KindArg::Depth => Kind::Depth,
            KindArg::Factor => Kind::Factor,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_string(), value.trim().to_string()))
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |text: &str| text.trim().parse().ok().filter(|n| (200..=4000).contains(n));
    let sides = text.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?)));
    sides.ok_or_else(|| "expected WIDTHxHEIGHT of 200 to 4000 pixels each".to_string())
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    let name = args.kind.to_possible_value().map_or(String::new(), |v| v.get_name().to_string());
    let file = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.svg")));
    let extension = file.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !["svg", "png"].contains(&extension.as_str()) {
        return Err(Failure::usage(format!("{}: a figure is written as .svg or .png", file.display())));
    }
    let kind = Kind::from(args.kind);
    for (given, flag, kinds) in [(&args.x, "--x", &[Kind::Phase, Kind::Depth][..]), (&args.y, "--y", &[Kind::Phase])] {
        if given.is_some() && !kinds.contains(&kind) {
            return Err(Failure::usage(format!("{flag}: a figure of kind {name} has no such axis to choose")));
        }
    }
    files::expect_directory(&args.directory)?;
    let run = report::read(&args.directory, Budget::PLOT)?;
    let wish = Wish {
        x: args.x.clone(),
        y: args.y.clone(),
        color: args.color_by.clone(),
        hold: args.hold.clone(),
        title: args.title.clone(),
        size: args.size,
    };
    let (drawing, shown) = svg(&run, kind, &wish)?;
    let bytes = if extension == "png" { png(&drawing)? } else { drawing.into_bytes() };
    files::write_whole(&file, |file| file.write_all(&bytes))?;
    console.status("Wrote", &format!("{} ({}): {shown}", file.display(), human::bytes(bytes.len() as f64)));
    Ok(Exit::Done)
}
