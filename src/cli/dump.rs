//! `gradsweep dump`: every tensor of one network, so that anyone can replay it in another framework.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::console::{Console, NO_JSON};
use super::exit::{Exit, Failure};
use super::options::{PrecisionArg, SweepArgs};
use super::{files, planning};
use crate::config::Value;
use crate::engine::cpu::{self, NamedTensor, memory};
use crate::engine::{EngineError, Precision};
use crate::network::NetworkSpec;
use crate::run::human;

/// Write every tensor of one network to a safetensors file
///
/// The file holds `input`, `target` (`cotangent` instead where the loss is one: dLoss/dh_L as it was drawn) and
/// `layers.{l}.weight|bias|preact|act|preact_grad|act_grad|weight_grad|bias_grad`, with the configuration in its metadata.
///
/// Where a tensor was scaled to stay in range, the metadata's `log2_scale` (a JSON map) has an entry for it: true value =
/// stored value * 2^log2_scale[name]. Where samples lie too far apart for one power of two, as behind saturated
/// activations, `log2_row_scale` (a JSON map of lists) has one more for each sample: true value of row b = stored value *
/// 2^(log2_scale[name] + log2_row_scale[name][b]), with 0 for a name that a map does not have.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep dump sweep.toml --network 0 -o first.safetensors
  gradsweep dump sweep.toml --network n-0123456789abcdef -o one.safetensors --precision f64

In Python:
  from safetensors.numpy import load_file
  tensors = load_file(\"first.safetensors\")

With the powers of two (values outside float64 become 0 or inf):
  import json, numpy
  from safetensors import safe_open
  with safe_open(\"first.safetensors\", \"numpy\") as file:
      scale = json.loads(file.metadata()[\"log2_scale\"])
      rows = json.loads(file.metadata()[\"log2_row_scale\"])
      name = \"layers.1.preact_grad\"
      power = scale.get(name, 0) + numpy.array(rows.get(name, [0]))[:, None]
      true = numpy.ldexp(file.get_tensor(name).astype(\"f8\"), power)")]
pub struct Args {
    #[command(flatten)]
    sweep: SweepArgs,
    /// The network: its id (n-...) or its index, as in networks.csv
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    network: String,
    /// File to write; `-` writes to standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Arithmetic and type of the tensors: f32 or f64
    #[arg(long, value_enum, value_name = "TYPE", default_value = "f32", hide_possible_values = true)]
    precision: PrecisionArg,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    args.sweep.keep(&args.output)?;
    let (file, _) = args.sweep.parse()?;
    let plan = planning::plan(&file, console)?;
    let index = plan.find(&args.network).ok_or_else(|| {
        let last = plan.len().saturating_sub(1);
        Failure::usage(format!(
            "no network `{}` in this sweep: give an index from 0 to {last}, or an id as in networks.csv",
            args.network
        ))
    })?;
    let network = plan.network(index);
    let precision = Precision::from(args.precision);
    check_memory(&network.spec, precision)?;
    let dataset = crate::data::load(network.spec.input);
    let tensors = cpu::tensors(&network.spec, dataset.as_ref(), None, precision);
    let scales: BTreeMap<&str, i32> =
        tensors.iter().filter(|t| t.log2_scale != 0).map(|t| (t.name.as_str(), t.log2_scale)).collect();
    let row_scales: BTreeMap<&str, &[i32]> = tensors
        .iter()
        .filter(|t| !t.log2_row_scale.is_empty())
        .map(|t| (t.name.as_str(), &t.log2_row_scale[..]))
        .collect();
    let metadata = serde_json::json!({
        "tool": concat!("gradsweep ", env!("CARGO_PKG_VERSION")),
        "network": network.network_id,
        "configuration": plan.configuration(index),
        "seed": network.spec.seed.to_string(),
        "precision": precision.name(),
        "log2_scale": serde_json::json!(scales).to_string(),
        "log2_row_scale": serde_json::json!(row_scales).to_string(),
    });
    let bytes = write(&args.output, &tensors, precision, &metadata)?;
    if console.json && args.output.as_os_str() == "-" {
        console.warning(NO_JSON);
    } else if console.json {
        let file = args.output.display().to_string();
        let names: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
        let value = serde_json::json!({ "file": file, "bytes": bytes, "tensors": names, "metadata": metadata });
        writeln!(console.out(), "{value:#}")?;
    }
    console.status(
        "Wrote",
        &format!(
            "{}: {} of {}, {}",
            args.output.display(),
            human::plural(tensors.len() as u64, "tensor"),
            network.network_id,
            human::bytes(bytes as f64)
        ),
    );
    Ok(Exit::Done)
}

/// Whether the tensors fit this machine's memory. Found out before anything is computed.
fn check_memory(spec: &NetworkSpec, precision: Precision) -> Result<(), EngineError> {
    let (bytes, available) = (memory::of_tensors(spec, precision), memory::available());
    if bytes <= available {
        return Ok(());
    }
    Err(EngineError::OutOfMemory(format!(
        "the tensors of a network of depth {}, width {} and batch_size {} take about {}, and this machine has {}; make it \
         smaller: --set defaults.batch_size=N",
        spec.depth,
        spec.width,
        spec.batch_size,
        human::bytes(bytes as f64),
        human::bytes(available as f64)
    )))
}

/// Writes the file so that it appears complete or not at all; standard output and devices are written as they are.
/// Returns the size.
fn write(
    path: &Path,
    tensors: &[NamedTensor],
    precision: Precision,
    metadata: &serde_json::Value,
) -> Result<u64, Failure> {
    let encoded: Vec<(Dtype, Vec<u8>)> = tensors.iter().map(|t| encode(t, precision)).collect();
    let views = tensors
        .iter()
        .zip(&encoded)
        .map(|(tensor, (dtype, bytes))| {
            let view = TensorView::new(*dtype, tensor.shape.clone(), bytes)?;
            Ok((tensor.name.clone(), view))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
    let bytes = safetensors::serialize(views, None).map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
    drop(encoded);
    let (head, data) = with_metadata(&bytes, metadata);
    let size = (head.len() + data.len()) as u64;
    if path.as_os_str() == "-" {
        let mut out = std::io::stdout();
        out.write_all(&head)?;
        out.write_all(data)?;
        out.flush()?;
        return Ok(size);
    }
    files::write_whole(path, |file| file.write_all(&head).and_then(|()| file.write_all(data)))?;
    Ok(size)
}

/// The length and header of a safetensors file that has none of its own metadata yet, with `metadata` put in, and the
/// tensors that follow. The crate takes metadata as a hash map alone, whose order differs from run to run.
fn with_metadata<'a>(file: &'a [u8], metadata: &serde_json::Value) -> (Vec<u8>, &'a [u8]) {
    let (length, rest) = file.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("split off as 8 bytes"));
    let (header, data) = rest.split_at(length as usize);
    let entries = header.trim_ascii().strip_prefix(b"{").expect("the crate writes a JSON object");
    let separator: &[u8] = if entries == b"}" { b"" } else { b"," };
    let mut head = vec![0; 8];
    for piece in [&b"{\"__metadata__\":"[..], metadata.to_string().as_bytes(), separator, entries] {
        head.extend_from_slice(piece);
    }
    // The format aligns the tensors to 8 bytes.
    head.resize(head.len().next_multiple_of(8), b' ');
    let length = head.len() as u64 - 8;
    head[..8].copy_from_slice(&length.to_le_bytes());
    (head, data)
}

/// Little-endian bytes: floats of the precision; class labels as integers, as other frameworks want them.
fn encode(tensor: &NamedTensor, precision: Precision) -> (Dtype, Vec<u8>) {
    let data = &tensor.data;
    if tensor.name == "target" && tensor.shape.len() == 1 {
        return (Dtype::I64, data.iter().flat_map(|&x| (x as i64).to_le_bytes()).collect());
    }
    match precision {
        Precision::F32 => (Dtype::F32, data.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect()),
        Precision::F64 => (Dtype::F64, data.iter().flat_map(|&x| x.to_le_bytes()).collect()),
    }
}

/// A value of a configuration as JSON.
pub fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Int(v) => serde_json::json!(v),
        Value::Float(v) => serde_json::json!(v),
        Value::Bool(v) => serde_json::json!(v),
        Value::Word(v) => serde_json::json!(v),
    }
}
