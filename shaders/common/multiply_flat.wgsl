// A product of two matrices without workgroup memory, for adapters that emulate workgroups on a processor: every lane
// reads vec4s of both operands straight from storage and owns one 8 x 8 block. 32 lanes a workgroup own 32 consecutive
// blocks, row of blocks by row of blocks. Bindings: left, right (vec4); overrides: LEFT_INNER, RIGHT_INNER.

const THREADS: u32 = 32u;
// Whether the summed index is the fast one of an operand's storage.
override LEFT_INNER: bool = true;
override RIGHT_INNER: bool = true;
// Whether the summed index of the left operand counts rows with exponents of their own.
override LEFT_ROWS: bool = false;

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

// Number of workgroups is ceil(rows / 8 * columns / 8 / 32).
fn place_of(group: u32, thread: u32, rows: u32, columns: u32) -> Place {
    let block = group * THREADS + thread;
    let across = columns / 8u;
    let row = (block / across) * 8u;
    let column = (block % across) * 8u;
    return Place(row, row + 4u, column, column + 4u);
}

// Sums over `inner` (a multiple of 8); bases and strides count vec4s.
fn multiply(
    place: Place, rows: u32, columns: u32, inner: u32,
    left_base: u32, left_stride: u32, right_base: u32, right_stride: u32, thread: u32,
) {
    if (place.row_low >= rows || place.column_low >= columns) {
        return;
    }
    for (var k = 0u; k < inner; k += 4u) {
        // Row i of a matrix is the vector of summed index k + i.
        var al: mat4x4<f32>;
        var ah: mat4x4<f32>;
        var bl: mat4x4<f32>;
        var bh: mat4x4<f32>;
        if (LEFT_INNER) {
            let o = left_base + place.row_low * left_stride + k / 4u;
            al = transpose(mat4x4<f32>(
                left[o], left[o + left_stride], left[o + 2u * left_stride], left[o + 3u * left_stride],
            ));
            let q = o + 4u * left_stride;
            ah = transpose(mat4x4<f32>(
                left[q], left[q + left_stride], left[q + 2u * left_stride], left[q + 3u * left_stride],
            ));
        } else {
            let o = left_base + k * left_stride + place.row_low / 4u;
            al = mat4x4<f32>(
                left[o], left[o + left_stride], left[o + 2u * left_stride], left[o + 3u * left_stride],
            );
            ah = mat4x4<f32>(
                left[o + 1u], left[o + left_stride + 1u], left[o + 2u * left_stride + 1u], left[o + 3u * left_stride + 1u],
            );
        }
        if (LEFT_ROWS) {
            let words = left[(left_rows + k) / 4u];
            for (var i = 0u; i < 4u; i += 1u) {
                let factor = row_factor(row_exponent(words[i]), left_top);
                al[i] *= factor;
                ah[i] *= factor;
            }
        }
        if (RIGHT_INNER) {
            let o = right_base + place.column_low * right_stride + k / 4u;
            bl = transpose(mat4x4<f32>(
                right[o], right[o + right_stride], right[o + 2u * right_stride], right[o + 3u * right_stride],
            ));
            let q = o + 4u * right_stride;
            bh = transpose(mat4x4<f32>(
                right[q], right[q + right_stride], right[q + 2u * right_stride], right[q + 3u * right_stride],
            ));
        } else {
            let o = right_base + k * right_stride + place.column_low / 4u;
            bl = mat4x4<f32>(
                right[o], right[o + right_stride], right[o + 2u * right_stride], right[o + 3u * right_stride],
            );
            bh = mat4x4<f32>(
                right[o + 1u], right[o + right_stride + 1u], right[o + 2u * right_stride + 1u],
                right[o + 3u * right_stride + 1u],
            );
        }
        if (LEFT_ROWS && place.column_low == 0u) {
            left_sum_low += al * vec4<f32>(1.0);
            left_sum_high += ah * vec4<f32>(1.0);
        }
        outer(al[0], ah[0], bl[0], bh[0]);
        outer(al[1], ah[1], bl[1], bh[1]);
        outer(al[2], ah[2], bl[2], bh[2]);
        outer(al[3], ah[3], bl[3], bh[3]);
    }
}
