// z = W h + b from the raw product of what is stored: product and bias are joined at the larger exponent. Needs scale.

struct Affine {
    h: Scale,
    w: Scale,
    b: Scale,
    // Of z.
    exponent: i32,
    factor: f32,
    bias_factor: f32,
    bias_down: f32,
}

fn affine_of(h: Scale, w: Scale, b: Scale) -> Affine {
    let exponent = joined_exponent(h.exponent + w.exponent, h.zero || w.zero, b.exponent, b.zero);
    let down = h.exponent + w.exponent - exponent;
    let factor = pow2(select(down, 0, h.zero || w.zero));
    return Affine(h, w, b, exponent, factor, pow2(b.shift), pow2(select(b.exponent - exponent, 0, b.zero)));
}

fn affine(a: Affine, raw: vec4<f32>, bias: vec4<f32>) -> vec4<f32> {
    let v = ((raw * pow2(a.h.shift)) * pow2(a.w.shift)) * a.factor;
    if (a.b.zero) {
        return v;
    }
    return v + (bias * a.bias_factor) * a.bias_down;
}
