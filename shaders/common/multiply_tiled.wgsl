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

// A slice of DEPTH summed indices is fetched in blocks of four of them by four rows (or columns), TILE / 2 blocks an operand:
// the first lanes take the left one's, the next the right one's. Vector i of a block belongs to summed index i, and is
// stored whole: lanes that store components of one vector race on some backends.
fn block_left(item: u32, first_row: u32, k: u32, rows: u32, inner: u32, base: u32, stride: u32) -> mat4x4<f32> {
    if (LEFT_INNER) {
        let row = first_row + (item / 2u) * 4u;
        let at = k + (item % 2u) * 4u;
        if (row < rows && at < inner) {
            let o = base + row * stride + at / 4u;
            return transpose(mat4x4<f32>(left[o], left[o + stride], left[o + 2u * stride], left[o + 3u * stride]));
        }
    } else {
        let row = first_row + (item % QUADS) * 4u;
        let at = k + (item / QUADS) * 4u;
        if (row < rows && at < inner) {
            let o = base + at * stride + row / 4u;
            var factors = vec4<f32>(1.0);
            if (LEFT_ROWS) {
                let words = left[(left_rows + at) / 4u];
                factors.x = row_factor(row_exponent(words.x), left_top);
                factors.y = row_factor(row_exponent(words.y), left_top);
                factors.z = row_factor(row_exponent(words.z), left_top);
                factors.w = row_factor(row_exponent(words.w), left_top);
            }
            return mat4x4<f32>(
                left[o] * factors.x, left[o + stride] * factors.y,
                left[o + 2u * stride] * factors.z, left[o + 3u * stride] * factors.w,
            );
        }
    }
    return mat4x4<f32>();
}

fn block_right(item: u32, first_column: u32, k: u32, columns: u32, inner: u32, base: u32, stride: u32) -> mat4x4<f32> {
    if (RIGHT_INNER) {
        let column = first_column + (item / 2u) * 4u;
        let at = k + (item % 2u) * 4u;
        if (column < columns && at < inner) {
            let o = base + column * stride + at / 4u;
            return transpose(mat4x4<f32>(right[o], right[o + stride], right[o + 2u * stride], right[o + 3u * stride]));
        }
    } else {
        let column = first_column + (item % QUADS) * 4u;
        let at = k + (item / QUADS) * 4u;
        if (column < columns && at < inner) {
            let o = base + at * stride + column / 4u;
            return mat4x4<f32>(right[o], right[o + stride], right[o + 2u * stride], right[o + 3u * stride]);
        }
    }
    return mat4x4<f32>();
}

// Where the first vector of a block stands in its tile; the others follow QUADS apart.
fn stored_at(item: u32, buffer: u32, inner_first: bool) -> u32 {
    let quad = select(item % QUADS, item / 2u, inner_first);
    let at = select(item / QUADS, item % 2u, inner_first) * 4u;
    return (buffer * DEPTH + at) * QUADS + quad;
}

fn store_left(item: u32, buffer: u32, v: mat4x4<f32>) {
    let at = stored_at(item, buffer, LEFT_INNER);
    left_tile[at] = v[0];
    left_tile[at + QUADS] = v[1];
    left_tile[at + 2u * QUADS] = v[2];
    left_tile[at + 3u * QUADS] = v[3];
}

fn store_right(item: u32, buffer: u32, v: mat4x4<f32>) {
    let at = stored_at(item, buffer, RIGHT_INNER);
    right_tile[at] = v[0];
    right_tile[at + QUADS] = v[1];
    right_tile[at + 2u * QUADS] = v[2];
    right_tile[at + 3u * QUADS] = v[3];
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
    let blocks = TILE / 2u;
    let item = thread % blocks;
    let of_left = thread < blocks;
    let of_right = !of_left && thread < TILE;
    if (of_left) {
        store_left(item, 0u, block_left(item, first_row, 0u, rows, inner, left_base, left_stride));
    }
    if (of_right) {
        store_right(item, 0u, block_right(item, first_column, 0u, columns, inner, right_base, right_stride));
    }
    workgroupBarrier(); // the first slice is stored
    var buffer = 0u;
    for (var k = 0u; k < inner; k += DEPTH) {
        // Fetch the next slice into registers while this one is multiplied.
        let next = k + DEPTH;
        var fetched = mat4x4<f32>();
        if (of_left) {
            fetched = block_left(item, first_row, next, rows, inner, left_base, left_stride);
        }
        if (of_right) {
            fetched = block_right(item, first_column, next, columns, inner, right_base, right_stride);
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
        if (of_left) {
            store_left(item, buffer, fetched);
        }
        if (of_right) {
            store_right(item, buffer, fetched);
        }
        workgroupBarrier(); // the next slice is stored, this one is read
    }
}
