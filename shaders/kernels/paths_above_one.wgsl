// Number of path factors |W_ij phi'(u_bj)| above 1, exactly: per column j the |w_ij| are sorted once (in pieces, where there
// are more than fit), and every sample searches its threshold. Bindings: heads; networks; argument: u [networks, row_pad,
// column_pad]; weight: [networks, inner pad, column_pad]; readout: the readout's weights; records. Heads: other = u, weight,
// bias = the readout's weights. Params: inner = rows of W (its padding is repeat_rows), layer; FLAG_CENTRE: the factor a of
// the branch counts (pre_act). Record a column: stamp, count. One workgroup owns a column. Grid: (columns, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> argument: array<f32>;
@group(0) @binding(4) var<storage, read_write> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> readout: array<f32>;
@group(0) @binding(6) var<storage, read_write> records: array<u32>;

const LONGEST: u32 = 2048u;

var<workgroup> sorted: array<f32, LONGEST>;
var<workgroup> above: atomic<u32>;
var<workgroup> most_decay: atomic<u32>;

@compute @workgroup_size(256)
fn paths_above_one(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x;
    let at_readout = networks[network].depth == params.layer && params.layer != NONE;
    let head = select(params.weight_head, params.bias_head, at_readout);
    let w = scale_of(head, network);
    let u = scale_of(params.other_head, network);
    let kind = networks[network].activation;
    let p = networks[network].param;
    let count = select(select(params.inner, params.readout_rows, at_readout), 0u, head == NONE);
    let stride = params.column_pad;
    if (thread == 0u) {
        atomicStore(&above, 0u);
        atomicStore(&most_decay, 0u);
    }
    workgroupBarrier(); // the counters are 0
    // The power of two that the whole column of phi' has in common.
    for (var row = thread; row < params.rows; row += 256u) {
        let x = grad_argument(argument[(network * params.row_pad + row) * stride + column], u, kind);
        let own = activation_grad(kind, x, p).y;
        if (is_finite(x) && own <= decay_floor(networks[network].depth)) {
            atomicMax(&most_decay, decay_word(own));
        }
    }
    workgroupBarrier(); // the smallest decay of the column is known
    let decay = power_of_decay(atomicLoad(&most_decay));
    var factor = 1.0;
    var power = decay - w.exponent;
    if ((params.flags & FLAG_CENTRE) != 0u) {
        factor = abs(networks[network].branch);
        power -= networks[network].branch_exponent;
    }
    // |w| |phi'| 2^-power > 1; beyond f32's range nothing or everything that is not zero passes.
    let threshold = pow2(power);
    var mine = 0u;
    // Barriers stand in these loops, so the uniform alone bounds them; the rest of a shorter column is padding.
    let longest = max(params.inner, params.readout_rows);
    for (var start = 0u; start < longest; start += LONGEST) {
        let piece = min(count - min(start, count), LONGEST);
        var size = 1u;
        while (size < min(longest - start, LONGEST)) {
            size *= 2u;
        }
        for (var i = thread; i < size; i += 256u) {
            var magnitude = 3.4e38;
            if (i < piece) {
                if (at_readout) {
                    magnitude = abs(readout[(network * params.readout_row_pad + start + i) * stride + column] * pow2(w.shift));
                } else {
                    magnitude = abs(weight[(network * params.repeat_rows + start + i) * stride + column] * pow2(w.shift));
                }
            }
            sorted[i] = magnitude;
        }
        workgroupBarrier(); // the piece is stored
        // Bitonic sort, ascending.
        for (var block = 2u; block <= size; block *= 2u) {
            for (var step = block / 2u; step > 0u; step /= 2u) {
                for (var pair = thread; pair < size / 2u; pair += 256u) {
                    let low = (pair / step) * 2u * step + pair % step;
                    let high = low + step;
                    let a = sorted[low];
                    let b = sorted[high];
                    if ((a > b) == ((low & block) == 0u)) {
                        sorted[low] = b;
                        sorted[high] = a;
                    }
                }
                workgroupBarrier(); // this round's exchanges are stored
            }
        }
        for (var row = thread; row < params.rows; row += 256u) {
            let x = grad_argument(argument[(network * params.row_pad + row) * stride + column], u, kind);
            let parts = activation_grad(kind, x, p);
            let slope = abs(parts.x * exp_scaled(-parts.y, decay)) * factor;
            var low = 0u;
            var high = piece;
            while (low < high) {
                let middle = (low + high) / 2u;
                if (sorted[middle] * slope > threshold) {
                    high = middle;
                } else {
                    low = middle + 1u;
                }
            }
            mine += piece - low;
        }
        workgroupBarrier(); // every lane has searched before the next piece is stored
    }
    atomicAdd(&above, mine);
    workgroupBarrier(); // every lane has added
    if (thread == 0u) {
        let at = params.record + network * params.record_stride + column * 2u;
        records[at] = stamp_of_sources(network);
        records[at + 1u] = atomicLoad(&above);
    }
}
