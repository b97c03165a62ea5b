// A product of two matrices in tiles of TILE x TILE, for real GPUs: operands pass through workgroup memory in slices of
// DEPTH summed indices, double-buffered, and every lane owns 8 x 8 elements as two groups of four rows and columns half
// a tile apart (so that neighbouring lanes read neighbouring vec4s). Bindings: left, right (vec4); overrides below.

// 64 or 128.
override TILE: u32 = 64u;
override THREADS: u32 = TILE * TILE / 64u;
// Whether the summed index is the fast one of an operand's storage.
override LEFT_INNER: bool = true;
override RIGHT_INNER: bool = true;
// Whether the summed index of the left operand counts rows with exponents of their own.
override LEFT_ROWS: bool = false;
const DEPTH: u32 = 8u;
override QUADS: u32 = TILE / 4u;

// [buffer, summed index, TILE / 4]
var<workgroup> left_tile: array<vec4<f32>, 2u * DEPTH * TILE / 4u>;
var<workgroup> right_tile: array<vec4<f32>, 2u * DEPTH * TILE / 4u>;

// Rows of the left operand that are summed over (LEFT_ROWS): their exponents' place, and the largest of them; in the lanes
// whose columns are the first, the sums of the flattened left operand itself.
var<private> left_rows: u32;
var<private> left_top: i32;
var<private> left_sum_low: vec4<f32>;
var<private> left_sum_high: vec4<f32>;

fn flatten_left(head: u32, network: u32, place: u32) {
    left_rows = place;
    left_top = rows_top(head, network);
}

// Number of workgroups is ceil(rows / TILE) * ceil(columns / TILE).
fn place_of(group: u32, thread: u32, rows: u32, columns: u32) -> Place {
    let across = (columns + TILE - 1u) / TILE;
    let lanes = TILE / 8u;
    let row = (group / across) * TILE + (thread / lanes) * 4u;
    let column = (group % across) * TILE + (thread % lanes) * 4u;
    return Place(row, row + TILE / 2u, column, column + TILE / 2u);
}

// Element `item` of a slice of TILE * DEPTH / 4 vec4s: four summed indices of one row, or four rows of one summed index.
fn slice_left(item: u32, first_row: u32, k: u32, rows: u32, inner: u32, base: u32, stride: u32) -> vec4<f32> {
    if (LEFT_INNER) {
        let row = first_row + item / (DEPTH / 4u);
        let at = k + (item % (DEPTH / 4u)) * 4u;
        if (row < rows && at < inner) {
            return left[base + row * stride + at / 4u];
        }
    } else {
        let row = first_row + (item % QUADS) * 4u;
        let at = k + item / QUADS;
        if (row < rows && at < inner) {
            let v = left[base + at * stride + row / 4u];
            if (LEFT_ROWS) {
                let word = left[(left_rows + at) / 4u][at % 4u];
                return v * row_factor(row_exponent(word), left_top);
            }
            return v;
        }
    }
    return vec4<f32>(0.0);
}

fn slice_right(item: u32, first_column: u32, k: u32, columns: u32, inner: u32, base: u32, stride: u32) -> vec4<f32> {
    if (RIGHT_INNER) {
        let column = first_column + item / (DEPTH / 4u);
        let at = k + (item % (DEPTH / 4u)) * 4u;
        if (column < columns && at < inner) {
            return right[base + column * stride + at / 4u];
        }
    } else {
        let column = first_column + (item % QUADS) * 4u;
        let at = k + item / QUADS;
        if (column < columns && at < inner) {
            return right[base + at * stride + column / 4u];
        }
    }
    return vec4<f32>(0.0);
}

fn store_left(item: u32, buffer: u32, v: vec4<f32>) {
    let base = buffer * DEPTH * QUADS;
    if (LEFT_INNER) {
        let row = item / (DEPTH / 4u);
        let at = (item % (DEPTH / 4u)) * 4u;
        left_tile[base + at * QUADS + row / 4u][row % 4u] = v.x;
        left_tile[base + (at + 1u) * QUADS + row / 4u][row % 4u] = v.y;
        left_tile[base + (at + 2u) * QUADS + row / 4u][row % 4u] = v.z;
        left_tile[base + (at + 3u) * QUADS + row / 4u][row % 4u] = v.w;
    } else {
        left_tile[base + item] = v;
    }
}

fn store_right(item: u32, buffer: u32, v: vec4<f32>) {
    let base = buffer * DEPTH * QUADS;
    if (RIGHT_INNER) {
        let column = item / (DEPTH / 4u);
        let at = (item % (DEPTH / 4u)) * 4u;
        right_tile[base + at * QUADS + column / 4u][column % 4u] = v.x;
        right_tile[base + (at + 1u) * QUADS + column / 4u][column % 4u] = v.y;
        right_tile[base + (at + 2u) * QUADS + column / 4u][column % 4u] = v.z;
        right_tile[base + (at + 3u) * QUADS + column / 4u][column % 4u] = v.w;
    } else {
        right_tile[base + item] = v;
    }
}

// Sums over `inner` (a multiple of 8); bases and strides count vec4s. Every lane of the workgroup takes part.
fn multiply(
    place: Place, rows: u32, columns: u32, inner: u32,
    left_base: u32, left_stride: u32, right_base: u32, right_stride: u32, thread: u32,
) {
    let lanes = TILE / 8u;
    let y = thread / lanes;
    let x = thread % lanes;
    let first_row = place.row_low - y * 4u;
    let first_column = place.column_low - x * 4u;
    // A slice has TILE * DEPTH / 4 = THREADS * 128 / TILE items: one a lane at TILE = 128, two at 64.
    let two = TILE < 128u;
    store_left(thread, 0u, slice_left(thread, first_row, 0u, rows, inner, left_base, left_stride));
    store_right(thread, 0u, slice_right(thread, first_column, 0u, columns, inner, right_base, right_stride));
    if (two) {
        let item = thread + THREADS;
        store_left(item, 0u, slice_left(item, first_row, 0u, rows, inner, left_base, left_stride));
        store_right(item, 0u, slice_right(item, first_column, 0u, columns, inner, right_base, right_stride));
    }
    workgroupBarrier(); // the first slice is stored
    var buffer = 0u;
    for (var k = 0u; k < inner; k += DEPTH) {
        // Fetch the next slice into registers while this one is multiplied.
        let next = k + DEPTH;
        let l0 = slice_left(thread, first_row, next, rows, inner, left_base, left_stride);
        let r0 = slice_right(thread, first_column, next, columns, inner, right_base, right_stride);
        var l1 = vec4<f32>(0.0);
        var r1 = vec4<f32>(0.0);
        if (two) {
            l1 = slice_left(thread + THREADS, first_row, next, rows, inner, left_base, left_stride);
            r1 = slice_right(thread + THREADS, first_column, next, columns, inner, right_base, right_stride);
        }
        for (var i = 0u; i < DEPTH; i += 1u) {
            let at = (buffer * DEPTH + i) * QUADS;
            let al = left_tile[at + y];
            let ah = left_tile[at + y + lanes];
            if (LEFT_ROWS && place.column_low == 0u) {
                left_sum_low += al;
                left_sum_high += ah;
            }
            outer(al, ah, right_tile[at + x], right_tile[at + x + lanes]);
        }
        buffer = 1u - buffer;
        store_left(thread, buffer, l0);
        store_right(thread, buffer, r0);
        if (two) {
            store_left(thread + THREADS, buffer, l1);
            store_right(thread + THREADS, buffer, r1);
        }
        workgroupBarrier(); // the next slice is stored, this one is read
    }
}
