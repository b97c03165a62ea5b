//! The two tables of a run while its rows come in: each is written as far as all rows before are there, so that little is
//! left to do at the end.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::directory::Headers;
use super::files::{Growing, Written};
use super::merge::{RowIndex, Table};
use super::part::NetworkRows;
use super::{Attempt, Storage, StoreError};

const LAYERS: &str = "layers.csv";
const NETWORKS: &str = "networks.csv";

pub struct Tables {
    layers: Growing,
    networks: Growing,
}

impl Tables {
    /// Both with their headers, in `directory`, under names that do not count yet.
    pub fn new(storage: &Arc<dyn Storage>, directory: &Path, headers: &Headers) -> Result<Tables, StoreError> {
        let mut tables = Tables {
            layers: Growing::new(storage, directory, LAYERS)?,
            networks: Growing::new(storage, directory, NETWORKS)?,
        };
        let mut write = |table, header| tables.write(table, header);
        write(Table::Layers, &headers.layers)
            .and_then(|()| write(Table::Networks, &headers.networks))
            .attempt("write", &directory.join(LAYERS))?;
        Ok(tables)
    }

    /// Writes `rows` if they are the next ones.
    pub fn pass(&mut self, index: &mut RowIndex, rows: &[NetworkRows]) -> io::Result<()> {
        index.pass(rows, &mut |table, bytes| self.write(table, bytes))
    }

    /// Writes all rows that are next, as far as parts hold them.
    pub fn copy(&mut self, index: &mut RowIndex) -> io::Result<()> {
        index.copy(&mut |table, bytes| self.write(table, bytes))
    }

    fn write(&mut self, table: Table, bytes: &[u8]) -> io::Result<()> {
        match table {
            Table::Layers => self.layers.write(bytes),
            Table::Networks => self.networks.write(bytes),
        }
    }

    /// Both tables with their names, complete but not synchronised.
    pub fn close(self) -> Result<[(&'static str, Written); 2], StoreError> {
        Ok([(LAYERS, self.layers.close()?), (NETWORKS, self.networks.close()?)])
    }
}
