//! The keys of a sweep file that are no keys of networks, section by section: what stands above all sections, in
//! `[[sweep]]`, `[record]` and `[verdict]`. The reader, the schema and `gradsweep list sections` take their names from here.

/// One row of the table.
#[derive(Debug)]
pub struct SectionKey {
    pub section: Section,
    pub name: &'static str,
    /// As the documentation shows it; empty where there is none.
    pub default: &'static str,
    /// What may be written, for documentation.
    pub values: &'static str,
    pub doc: &'static str,
}

/// A part of a sweep file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Above all sections.
    Top,
    Defaults,
    Sweep,
    Record,
    Verdict,
}

impl Section {
    /// As a sweep file spells it.
    pub fn heading(self) -> &'static str {
        match self {
            Section::Top => "top",
            Section::Defaults => "[defaults]",
            Section::Sweep => "[[sweep]]",
            Section::Record => "[record]",
            Section::Verdict => "[verdict]",
        }
    }

    pub fn rows(self) -> impl Iterator<Item = &'static SectionKey> {
        SECTION_KEYS.iter().filter(move |row| row.section == self)
    }

    pub fn names(self) -> Vec<&'static str> {
        self.rows().map(|row| row.name).collect()
    }

    /// What a key of this section means.
    pub fn doc(self, name: &str) -> &'static str {
        self.rows().find(|row| row.name == name).map_or("", |row| row.doc)
    }
}

const REPLICATES: &str = "independent draws of every configuration";

macro_rules! row {
    ($section:ident, $name:literal, $default:literal, $values:literal, $doc:expr) => {
        SectionKey { section: Section::$section, name: $name, default: $default, values: $values, doc: $doc }
    };
}

#[rustfmt::skip]
pub static SECTION_KEYS: [SectionKey; 19] = [
    row!(Top, "schema_version", "1", "1", "version of this format"),
    row!(Top, "name", "the file's own name", "a letter or digit, then letters, digits, `_`, `.`, `-`; 64 at most",
        "name of the run and of its default directory"),
    row!(Top, "seed", "0", "integer, 0 to 2^53", "root of all random numbers"),
    row!(Top, "replicates", "1", "integer, 1 to 10^7", REPLICATES),
    row!(Top, "seeding", "configuration", "configuration, replicate",
        "configuration: every configuration has its own draws; replicate: all get the same ones, for paired comparisons"),
    row!(Top, "defaults", "", "keys of networks, replicates", "keys of every sweep, unless it gives them itself"),
    row!(Top, "sweep", "", "one [[sweep]] or more", "a list or range is an axis, and axes multiply"),
    row!(Top, "record", "", "the keys of [record]", "what is written down"),
    row!(Top, "verdict", "", "the keys of [verdict]", "when gradients count as vanishing or exploding"),
    row!(Defaults, "replicates", "1", "integer, 1 to 10^7", REPLICATES),
    row!(Sweep, "name", "sweep", "as the name of the run; needed where there are several sweeps", "the sweep's name"),
    row!(Sweep, "replicates", "1", "integer, 1 to 10^7", REPLICATES),
    row!(Sweep, "zip", "", "{ activation = [...], init = [...] }", "lists of equal length that move together, by key"),
    row!(Sweep, "where", "", "gradsweep list filters",
        "expressions over the keys, params and flops; a point stays if all of them are true"),
    row!(Record, "steps", "[0]", "0, [0]", "training steps; 0 = at initialisation, the only one today"),
    row!(Record, "statistics", "basic", "basic, full, or names of `gradsweep list statistics` and quantities",
        "basic, full, or names of quantities and columns"),
    row!(Record, "layers", "all", "all, a layer, a list or a range", "all, or the rows to keep, to thin very deep networks"),
    row!(Record, "times", "all", "all", "for recurrent networks, which are not built yet"),
    row!(Verdict, "decades", "2.0", "number above 0", "|log10(|delta_1|/|delta_L|)| above this is vanishing or exploding"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, SweepFile, schema};

    #[test]
    fn the_reader_knows_every_key_of_the_table_and_no_other() {
        let faults = |section: Section, key: &str| {
            let heading = if section == Section::Top { "" } else { section.heading() };
            let more = if section == Section::Sweep { "" } else { "[[sweep]]\n" };
            let text = format!("{heading}\n{key} = -0.5\n{more}");
            SweepFile::parse(&text, "x.toml", &Overrides::default()).map_or_else(|e| e.to_string(), |_| String::new())
        };
        for row in &SECTION_KEYS {
            let text = faults(row.section, row.name);
            assert!(text.contains(row.name) && !text.contains("unknown"), "{row:?}: {text}");
            assert!(faults(row.section, &format!("{}q", row.name)).contains("unknown key"), "{row:?}");
        }
    }

    #[test]
    fn the_schema_has_the_keys_of_the_table_with_their_meaning() {
        let schema = schema::json_schema();
        let top = &schema["properties"];
        for row in &SECTION_KEYS {
            let place = match row.section {
                Section::Top => top,
                Section::Defaults => &top["defaults"]["properties"],
                Section::Sweep => &top["sweep"]["items"]["properties"],
                Section::Record => &top["record"]["properties"],
                Section::Verdict => &top["verdict"]["properties"],
            };
            assert_eq!(place[row.name]["description"], row.doc, "{row:?}");
        }
        assert_eq!(top.as_object().map(|o| o.len()), Some(Section::Top.names().len()));
        assert_eq!(top["record"]["properties"].as_object().map(|o| o.len()), Some(Section::Record.names().len()));
    }
}
