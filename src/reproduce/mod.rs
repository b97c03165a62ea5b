//! Published results as data: one sweep file per paper in `configs/papers/` and, beside it, what the paper states, how it
//! is measured and what is expected. This module judges a finished run against them; it runs nothing itself.

mod evaluate;
mod markdown;
mod read;
mod statement;

pub use evaluate::{Finding, Group, Outcome, evaluate};
pub use markdown::{markdown, shown};
pub use read::{ReadNetwork, ReadRun, read_run};
pub use statement::{Paper, PaperFile, Statement, Statistic, Test};

macro_rules! papers {
    ($($name:literal),+ $(,)?) => {
        /// Every paper, in order of publication.
        pub static PAPERS: &[PaperFile] = &[$(PaperFile {
            name: $name,
            sweep: include_str!(concat!("../../configs/papers/", $name, ".toml")),
            statements: include_str!(concat!("../../configs/papers/", $name, ".statements.toml")),
        }),+];
    };
}
papers!(
    "glorot_bengio_2010",
    "saxe_2014",
    "he_2015",
    "poole_2016",
    "schoenholz_2017",
    "balduzzi_2017",
    "klambauer_2017",
    "pennington_2017",
    "yang_schoenholz_2017",
    "hanin_2018",
    "yang_2019",
    "de_smith_2020",
    "xiong_2020",
);
