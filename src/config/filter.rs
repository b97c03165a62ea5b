//! Filters of a sweep: boolean `rhai` expressions over the keys and over `params` and `flops`. Names and types are
//! checked before anything is evaluated, whole numbers count as floats, and evaluation is bounded.

use std::sync::OnceLock;

use rhai::{AST, Dynamic, Engine, EvalAltResult, Expr, FnCallExpr, OptimizationLevel, Position, Scope, Stmt, Token};

use super::error::{Mark, Reporter, did_you_mean};
use super::key::{KEYS, Key, Kind, Value};

/// A compiled and checked expression.
#[derive(Clone, Debug)]
pub struct Filter {
    /// As typed.
    pub text: String,
    pub mark: Mark,
    ast: AST,
    /// What it reads.
    pub variables: Vec<Variable>,
}

/// A name that a filter may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    Key(Key),
    /// Number of weights and biases.
    Params,
    /// Floating point operations of one forward and backward pass.
    Flops,
}

/// The value of a variable at one point.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Number(f64),
    Bool(bool),
    Word(String),
}

/// Operations that one evaluation may take.
const LARGEST_EVALUATION: u64 = 10_000;
/// Functions of numbers that a filter may call, with their number of arguments.
const FUNCTIONS: [(&str, usize); 10] = [
    ("sqrt", 1),
    ("exp", 1),
    ("ln", 1),
    ("log", 1),
    ("abs", 1),
    ("floor", 1),
    ("ceiling", 1),
    ("round", 1),
    ("min", 2),
    ("max", 2),
];

/// What a filter is made of, beside the keys of networks, with its meaning.
pub static FILTER_WORDS: [(&str, &str); 19] = [
    ("KEY", "a key of networks (gradsweep list keys); one that does not apply has its default, or what the point says"),
    ("params", "number of weights and biases"),
    ("flops", "floating point operations of one forward and backward pass"),
    ("+ - * / % **", "arithmetic; whole numbers count as numbers with a fraction: 1/2 is a half"),
    ("< <= > >=", "comparisons of numbers; a relative difference of 2e-16 counts as equal"),
    ("== !=", "equality of numbers, of true and false, and of words in quotes: activation == \"tanh\""),
    ("in, !in", "membership: activation in [\"relu\", \"gelu\"], depth !in [8, 16]"),
    ("&& || !", "and, or, not"),
    ("( )", "grouping"),
    ("sqrt(x)", "square root"),
    ("exp(x)", "e to the power of x"),
    ("ln(x)", "natural logarithm"),
    ("log(x)", "logarithm to base 10"),
    ("abs(x)", "absolute value"),
    ("floor(x)", "largest whole number that is not above x"),
    ("ceiling(x)", "smallest whole number that is not below x"),
    ("round(x)", "nearest whole number, halves away from zero"),
    ("min(x, y)", "the smaller one"),
    ("max(x, y)", "the larger one"),
];

#[derive(Clone, Debug, PartialEq)]
enum Type {
    Number,
    Bool,
    /// A word of a vocabulary: the value of a key.
    Word(Key),
    /// A string in quotes.
    Literal(String, Position),
    /// A list of these.
    List(Vec<Type>),
}

impl Type {
    fn name(&self) -> &'static str {
        match self {
            Type::Number => "a number",
            Type::Bool => "true or false",
            Type::Word(_) | Type::Literal(..) => "a word",
            Type::List(_) => "a list",
        }
    }
}

type Checked<T> = Result<T, (Position, String)>;

impl Variable {
    fn from_name(name: &str) -> Option<Variable> {
        match name {
            "params" => Some(Variable::Params),
            "flops" => Some(Variable::Flops),
            _ => Key::from_name(name).map(Variable::Key),
        }
    }
    fn name(self) -> &'static str {
        match self {
            Variable::Key(key) => key.name(),
            Variable::Params => "params",
            Variable::Flops => "flops",
        }
    }
    fn type_of(self) -> Type {
        match self {
            Variable::Key(key) => match key.row().kind {
                Kind::Bool => Type::Bool,
                Kind::Word(_) => Type::Word(key),
                Kind::Int { .. } | Kind::Float { .. } | Kind::ResidualScale => Type::Number,
            },
            Variable::Params | Variable::Flops => Type::Number,
        }
    }
}

/// Equal but for the last digit, so that `3 * 0.1 == 0.3`.
fn equal(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs()).min(f64::MAX)
}

/// A comparison with NaN would drop points, or keep them, without a word.
fn numbers(a: f64, b: f64) -> Result<(), Box<EvalAltResult>> {
    if a.is_nan() || b.is_nan() {
        return Err(
            "one side of a comparison is not a number (0/0, or the root or logarithm of a negative number)".into()
        );
    }
    Ok(())
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut engine = Engine::new();
        engine
            .set_optimization_level(OptimizationLevel::None)
            .set_max_operations(LARGEST_EVALUATION)
            .set_max_expr_depths(64)
            .set_max_string_size(1000)
            .set_max_array_size(1000)
            .set_allow_looping(false)
            .set_allow_statement_expression(false)
            .set_allow_if_expression(false)
            .set_allow_switch_expression(false);
        // Numbers are floats: 1/2 is a half, and `depth * width` cannot overflow.
        #[allow(deprecated, reason = "marked so because it is volatile, not because it goes")]
        engine.on_parse_token(|token, _, _| match token {
            Token::IntegerConstant(v) => Token::FloatConstant(Box::new(((v as f64).into(), v.to_string().into()))),
            token => token,
        });
        // Those of the crate take no infinity, and compare numbers near 0 with an absolute tolerance.
        type Comparison = fn(f64, f64) -> bool;
        let operators: [(&str, Comparison); 6] = [
            ("==", equal),
            ("!=", |a, b| !equal(a, b)),
            ("<", |a, b| a < b && !equal(a, b)),
            (">", |a, b| a > b && !equal(a, b)),
            ("<=", |a, b| a < b || equal(a, b)),
            (">=", |a, b| a > b || equal(a, b)),
        ];
        engine.set_fast_operators(false);
        for (name, compare) in operators {
            engine.register_fn(name, move |a: f64, b: f64| numbers(a, b).map(|()| compare(a, b)));
        }
        engine
    })
}

impl Filter {
    /// Compiles and checks; anything wrong goes to `reporter`. `mark` is the string's place in the file.
    pub fn compile(text: &str, mark: Mark, reporter: &mut Reporter) -> Option<Filter> {
        let place = |position: Position, reporter: &Reporter| inner_mark(text, mark, position, reporter);
        let ast = match engine().compile_expression(text) {
            Ok(ast) => ast,
            Err(error) => {
                let at = place(error.1, reporter);
                let message = error.0.to_string().to_lowercase().replace("script is", "it is");
                let message = message.trim_end_matches('.');
                let (what, foreign) = match ends_at_equals(text, error.1) {
                    true => ("unexpected '='", Some(("=", "=="))),
                    false => (message, foreign_operator(text)),
                };
                let hint = foreign.map_or(String::new(), |(word, operator)| format!("; use `{operator}` for `{word}`"));
                reporter.at(at, format!("not an expression: {what}{hint}"));
                return None;
            }
        };
        let mut variables = Vec::new();
        let checked = match ast.statements() {
            [Stmt::Expr(expr)] => check(expr, &mut variables),
            [Stmt::FnCall(call, position)] => check_call(call, *position, &mut variables),
            _ => Err((Position::NONE, "a filter is one expression".to_string())),
        };
        let fault = match checked {
            Ok(Type::Bool) if variables.is_empty() => {
                (Position::NONE, "this filter reads no key: it is the same for every point".to_string())
            }
            Ok(Type::Bool) => return Some(Filter { text: text.to_string(), mark, ast, variables }),
            Ok(other) => (Position::NONE, format!("a filter must be true or false, and this is {}", other.name())),
            Err(fault) => fault,
        };
        let at = place(fault.0, reporter);
        reporter.at(at, fault.1);
        None
    }

    /// Whether a point stays.
    pub fn keeps(&self, mut operand: impl FnMut(Variable) -> Operand) -> Result<bool, String> {
        let mut scope = Scope::new();
        for &variable in &self.variables {
            let value = match operand(variable) {
                Operand::Number(v) => Dynamic::from_float(v),
                Operand::Bool(v) => Dynamic::from_bool(v),
                Operand::Word(v) => Dynamic::from(v),
            };
            scope.push_dynamic(variable.name(), value);
        }
        engine().eval_ast_with_scope::<bool>(&mut scope, &self.ast).map_err(|error| match *error {
            EvalAltResult::ErrorRuntime(message, _) => message.to_string(),
            other => other.to_string(),
        })
    }
}

/// The first operator of Python or SQL outside quotes, and what stands for it here.
fn foreign_operator(text: &str) -> Option<(&'static str, &'static str)> {
    const OPERATORS: [(&str, &str); 3] = [("and", "&&"), ("or", "||"), ("not", "!")];
    let bare = text.split('"').step_by(2);
    let mut words = bare.flat_map(|piece| piece.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')')));
    words.find_map(|word| OPERATORS.into_iter().find(|(foreign, _)| *foreign == word.to_ascii_lowercase()))
}

/// Whether the expression ends at a lone `=`, which compares in SQL and in mathematics.
fn ends_at_equals(text: &str, position: Position) -> bool {
    let (Some(line), Some(column)) = (position.line(), position.position()) else { return false };
    let mut rest = text.lines().nth(line - 1).unwrap_or_default().chars().skip(column - 1);
    rest.next() == Some('=') && !matches!(rest.next(), Some('=' | '>'))
}

/// The place of a position inside the expression, or of the whole string where escapes shift positions.
fn inner_mark(text: &str, mark: Mark, position: Position, reporter: &Reporter) -> Mark {
    let quoted = reporter.sources.get(mark.source as usize).and_then(|source| {
        source.text.get(mark.start as usize + 1..(mark.end as usize).saturating_sub(1)).filter(|inner| *inner == text)
    });
    let (Some(_), Some(1), Some(column)) = (quoted, position.line(), position.position()) else {
        return mark;
    };
    let Some((offset, _)) = text.char_indices().nth(column.saturating_sub(1)) else {
        return mark;
    };
    let rest = &text[offset..];
    let word = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(1, |end| end + 2),
        _ => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()).max(1),
    };
    let start = mark.start + 1 + offset as u32;
    Mark { source: mark.source, start, end: start + word as u32 }
}

fn check(expr: &Expr, variables: &mut Vec<Variable>) -> Checked<Type> {
    match expr {
        Expr::FloatConstant(..) | Expr::IntegerConstant(..) => Ok(Type::Number),
        Expr::BoolConstant(..) => Ok(Type::Bool),
        Expr::StringConstant(text, position) => Ok(Type::Literal(text.to_string(), *position)),
        Expr::Variable(name, _, position) => {
            let name = name.1.as_str();
            let Some(variable) = Variable::from_name(name) else {
                let known = KEYS.iter().map(|row| row.name).chain(["params", "flops"]);
                let hint = did_you_mean(name, known);
                return Err((*position, format!("unknown key `{name}` in a filter{hint} (gradsweep list keys)")));
            };
            if !variables.contains(&variable) {
                variables.push(variable);
            }
            Ok(variable.type_of())
        }
        Expr::And(sides, _) | Expr::Or(sides, _) => {
            for side in sides.iter() {
                want(&Type::Bool, check(side, variables)?, side.start_position(), "`&&` and `||` join conditions")?;
            }
            Ok(Type::Bool)
        }
        Expr::Array(items, _) => {
            let items: Checked<Vec<Type>> = items.iter().map(|item| check(item, variables)).collect();
            Ok(Type::List(items?))
        }
        Expr::FnCall(call, position) => check_call(call, *position, variables),
        other => {
            let help = "numbers, words in quotes, keys, + - * / % **, < <= > >= == !=, in [...], && || !";
            Err((other.start_position(), format!("a filter cannot use this ({help})")))
        }
    }
}

fn check_call(call: &FnCallExpr, position: Position, variables: &mut Vec<Variable>) -> Checked<Type> {
    let name = call.name.as_str();
    let starts: Vec<Position> = call.args.iter().map(Expr::start_position).collect();
    let types: Checked<Vec<Type>> = call.args.iter().map(|arg| check(arg, variables)).collect();
    let mut types = types?;
    let numbers = |types: Vec<Type>| {
        for (found, &start) in types.into_iter().zip(&starts) {
            want(&Type::Number, found, start, &format!("`{name}` takes numbers"))?;
        }
        Ok(())
    };
    match (name, types.len()) {
        ("+" | "-" | "*" | "/" | "%" | "**", 1 | 2) => numbers(types).map(|()| Type::Number),
        ("<" | "<=" | ">" | ">=", 2) => numbers(types).map(|()| Type::Bool),
        ("!", 1) => {
            want(&Type::Bool, types.remove(0), starts[0], "`!` negates a condition")?;
            Ok(Type::Bool)
        }
        ("==" | "!=", 2) => comparable(&types[0], &types[1], position).map(|()| Type::Bool),
        // `x in list` is the call contains(list, x).
        ("contains", 2) => {
            let Type::List(items) = &types[0] else {
                return Err((
                    position,
                    format!("`in` needs a list such as [\"tanh\", \"relu\"], not {}", types[0].name()),
                ));
            };
            for item in items {
                comparable(&types[1], item, position)?;
            }
            Ok(Type::Bool)
        }
        _ => match FUNCTIONS.iter().find(|(known, _)| *known == name) {
            Some(&(_, arity)) if arity == types.len() => numbers(types).map(|()| Type::Number),
            Some(&(_, arity)) => Err((position, format!("`{name}` takes {arity} arguments, not {}", types.len()))),
            None => {
                let hint = did_you_mean(name, FUNCTIONS.iter().map(|(known, _)| *known));
                let known: Vec<_> = FUNCTIONS.iter().map(|(known, _)| *known).collect();
                Err((position, format!("unknown function `{name}` in a filter{hint} ({})", known.join(", "))))
            }
        },
    }
}

fn want(expected: &Type, found: Type, at: Position, why: &str) -> Checked<()> {
    if *expected == found { Ok(()) } else { Err((at, format!("{why}, and this is {}", found.name()))) }
}

/// Two sides of `==`: of one kind, and a word that the key can have.
fn comparable(a: &Type, b: &Type, at: Position) -> Checked<()> {
    match (a, b) {
        (Type::Number, Type::Number) | (Type::Bool, Type::Bool) => Ok(()),
        (Type::Word(key), Type::Literal(text, at)) | (Type::Literal(text, at), Type::Word(key)) => {
            let setting = key.row().word(text).map_err(|message| (*at, message))?;
            match setting.value() {
                Value::Word(canonical) if canonical != *text => {
                    let name = key.name();
                    Err((*at, format!("in filters `{name}` has its canonical spelling: write `{canonical}`")))
                }
                _ => Ok(()),
            }
        }
        (Type::Word(a), Type::Word(b)) if a == b => Ok(()),
        _ => Err((at, format!("{} cannot equal {}", a.name(), b.name()))),
    }
}
