//! A point of a sweep: one value on every axis.

use super::resolve::Settings;
use crate::config::{Axis, Key, Mark, Sweep};

/// Position of a point on every axis; the last axis moves fastest.
pub struct Point<'a> {
    axes: &'a [Axis],
    positions: Vec<usize>,
    given: Settings,
}

impl<'a> Point<'a> {
    /// Point `index` of a sweep.
    pub fn new(sweep: &'a Sweep, index: u64) -> Self {
        let mut positions = vec![0; sweep.axes.len()];
        let mut rest = index;
        for (position, axis) in positions.iter_mut().zip(&sweep.axes).rev() {
            let length = axis.length().max(1) as u64;
            *position = (rest % length) as usize;
            rest /= length;
        }
        let mut point = Point { axes: &sweep.axes, positions, given: [None; Key::COUNT] };
        for axis in 0..point.axes.len() {
            point.read(axis);
        }
        point
    }

    fn read(&mut self, axis: usize) {
        for column in &self.axes[axis].columns {
            self.given[column.key as usize] = column.settings.get(self.positions[axis]).copied();
        }
    }

    /// Goes to the next point; after the last comes the first.
    pub fn advance(&mut self) {
        for axis in (0..self.axes.len()).rev() {
            self.positions[axis] += 1;
            let wrapped = self.positions[axis] >= self.axes[axis].length();
            if wrapped {
                self.positions[axis] = 0;
            }
            self.read(axis);
            if !wrapped {
                return;
            }
        }
    }

    pub fn given(&self) -> &Settings {
        &self.given
    }

    /// Where the value of `key` stands, if the file gives it.
    pub fn mark(&self, key: Key) -> Option<Mark> {
        self.axes.iter().zip(&self.positions).find_map(|(axis, &position)| {
            axis.columns.iter().find(|column| column.key == key).map(|column| column.value_mark(position))
        })
    }
}
