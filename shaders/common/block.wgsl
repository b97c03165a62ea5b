// The 8 x 8 accumulators that one lane of a product owns, as named vectors (never indexed dynamically, so that they stay
// in registers): row r, columns 0..3 in c<r>l and 4..7 in c<r>h.

var<private> c0l: vec4<f32>;
var<private> c0h: vec4<f32>;
var<private> c1l: vec4<f32>;
var<private> c1h: vec4<f32>;
var<private> c2l: vec4<f32>;
var<private> c2h: vec4<f32>;
var<private> c3l: vec4<f32>;
var<private> c3h: vec4<f32>;
var<private> c4l: vec4<f32>;
var<private> c4h: vec4<f32>;
var<private> c5l: vec4<f32>;
var<private> c5h: vec4<f32>;
var<private> c6l: vec4<f32>;
var<private> c6h: vec4<f32>;
var<private> c7l: vec4<f32>;
var<private> c7h: vec4<f32>;

// Where a lane's block lies: first row of its upper and lower four rows, first column of its left and right four
// columns. Each group of four is inside or outside the padded matrix as a whole.
struct Place {
    row_low: u32,
    row_high: u32,
    column_low: u32,
    column_high: u32,
}

// Adds the outer product of eight rows and eight columns.
fn outer(al: vec4<f32>, ah: vec4<f32>, bl: vec4<f32>, bh: vec4<f32>) {
    c0l += al.x * bl;
    c0h += al.x * bh;
    c1l += al.y * bl;
    c1h += al.y * bh;
    c2l += al.z * bl;
    c2h += al.z * bh;
    c3l += al.w * bl;
    c3h += al.w * bh;
    c4l += ah.x * bl;
    c4h += ah.x * bh;
    c5l += ah.y * bl;
    c5h += ah.y * bh;
    c6l += ah.z * bl;
    c6h += ah.z * bh;
    c7l += ah.w * bl;
    c7h += ah.w * bh;
}

// The accumulators as an array, [row, half], for an epilogue's loop.
fn block_values() -> array<vec4<f32>, 16> {
    return array<vec4<f32>, 16>(
        c0l, c0h, c1l, c1h, c2l, c2h, c3l, c3h, c4l, c4h, c5l, c5h, c6l, c6h, c7l, c7h,
    );
}

fn block_row(place: Place, r: u32) -> u32 {
    return select(place.row_high + r - 4u, place.row_low + r, r < 4u);
}
