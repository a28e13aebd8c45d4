#include "ride/recipe.h"

#include <toml++/toml.h>
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <sstream>

#include "engine/io/atomic_file.h"
#include "ride/recipe_fields.h"

namespace ride {
namespace {

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw RecipeError(fmt::format("[recipe] {}", fmt::format(text, std::forward<Args>(args)...)));
}

// Stores a TOML value in the field's target; false when it is of another type or out of range.
class Store {
 public:
  Store(const Field& field, const toml::node& node) : field_(field), node_(node) {}

  bool operator()(bool* target) const { return put(target, node_.value_exact<bool>()); }
  bool operator()(int* target) const {
    const auto value = integer(node_);
    return value && put(target, std::optional<int>(static_cast<int>(*value)));
  }
  bool operator()(int64_t* target) const {
    const auto value = node_.value_exact<int64_t>();
    return value && field_.range.holds(static_cast<double>(*value)) && put(target, value);
  }
  bool operator()(double* target) const { return put(target, number(node_)); }
  bool operator()(std::string* target) const {
    const auto value = node_.value_exact<std::string>();
    const auto& choices = field_.choices;
    const bool known = value && (choices.empty() || std::find(choices.begin(), choices.end(), *value) != choices.end());
    return known && put(target, value);
  }
  bool operator()(std::vector<int>* target) const {
    if (!node_.is_array()) return false;
    std::vector<int> values;
    for (const toml::node& element : *node_.as_array()) {
      const auto value = integer(element);
      if (!value) return false;
      values.push_back(static_cast<int>(*value));
    }
    return std::is_sorted(values.begin(), values.end()) && put(target, std::optional(values));
  }
  bool operator()(std::array<double, 3>* target) const {
    if (!node_.is_array() || node_.as_array()->size() != target->size()) return false;
    std::array<double, 3> values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto value = number(*node_.as_array()->get(i));
      if (!value) return false;
      values[i] = *value;
    }
    return put(target, std::optional(values));
  }

 private:
  template <class T>
  static bool put(T* target, const std::optional<T>& value) {
    if (value) *target = *value;
    return value.has_value();
  }
  std::optional<int64_t> integer(const toml::node& node) const {
    const auto value = node.value_exact<int64_t>();
    const bool fits = value && *value >= std::numeric_limits<int>::min() && *value <= std::numeric_limits<int>::max();
    return fits && field_.range.holds(static_cast<double>(*value)) ? value : std::nullopt;
  }
  std::optional<double> number(const toml::node& node) const {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    return value && field_.range.holds(*value) ? value : std::nullopt;
  }

  const Field& field_;
  const toml::node& node_;
};

std::string shown(const toml::node& node) {
  std::ostringstream text;
  node.visit([&](const auto& value) { text << value; });
  return text.str();
}

// `where` is "file:line" or the override.
void assign(const Field& field, const toml::node& node, const std::string& where) {
  if (!std::visit(Store(field, node), field.target))
    fail("{}: {} = {}: must be {}", where, field.key, shown(node), field.allowed());
}

const Field* find_field(const std::vector<Field>& fields, const std::string& key) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return field.key == key; });
  return found == fields.end() ? nullptr : &*found;
}

const Field& find_or_fail(const std::vector<Field>& fields, const std::string& key, const std::string& where) {
  if (const Field* field = find_field(fields, key)) return *field;
  std::vector<std::string> known;
  for (const Field& field : fields) known.push_back(field.key);
  fail("{}: unknown key \"{}\", the nearest known key is \"{}\"", where, key, nearest(key, known));
}

bool is_section(const std::vector<Field>& fields, const std::string& name) {
  return std::any_of(fields.begin(), fields.end(), [&](const Field& field) { return field.section() == name; });
}

void read_table(const toml::table& table, const std::vector<Field>& fields, const std::string& prefix,
                const std::string& origin) {
  for (const auto& [key, node] : table) {
    const std::string full = prefix + std::string(key.str());
    const std::string where = fmt::format("{}:{}", origin, key.source().begin.line);
    if (prefix.empty() && is_section(fields, full)) {
      if (!node.is_table()) fail("{}: {} = {}: must be a table", where, full, shown(node));
      read_table(*node.as_table(), fields, full + ".", origin);
    } else if (node.is_table() && prefix.empty() && !find_field(fields, full)) {
      std::vector<std::string> sections;
      for (const Field& field : fields)
        if (!field.section().empty()) sections.push_back(field.section());
      fail("{}: unknown table [{}], the nearest known table is [{}]", where, full, nearest(full, sections));
    } else {
      assign(find_or_fail(fields, full, where), node, where);
    }
  }
}

// The right side of an override as TOML where it is that, else as a text: `loss.type=ldam` needs no quotes.
toml::table parse_value(const Field& field, const std::string& text) {
  const bool bare_text = std::holds_alternative<std::string*>(field.target) && !text.starts_with('"');
  if (!bare_text) {
    try {
      return toml::parse(fmt::format("value = {}", text));
    } catch (const toml::parse_error&) {
    }
  }
  toml::table table;
  table.insert("value", text);
  return table;
}

void apply_override(const std::vector<Field>& fields, const std::string& text) {
  const std::string where = fmt::format("--set {}", text);
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) fail("{}: expected key=value", where);
  const Field& field = find_or_fail(fields, resolve_alias(text.substr(0, equals)), where);
  const toml::table table = parse_value(field, text.substr(equals + 1));
  assign(field, *table.get("value"), where);
}

int known_classes(const std::string& dataset) {
  static const std::map<std::string, int> known{{"cifar100", 100}, {"cifar10", 10}, {"fashion-mnist", 10}};
  const auto found = known.find(dataset);
  return found == known.end() ? 0 : found->second;
}

// What no single key can tell.
void check_together(const Recipe& recipe, const std::string& origin) {
  if (recipe.loss.type == "ride" && !recipe.loss.individual && !recipe.loss.collaborative)
    fail("{}: loss.individual and loss.collaborative are both false: the experts would learn no classes", origin);
  const int known = known_classes(recipe.data.dataset);
  if (recipe.model.classes != 0 && known != 0 && recipe.model.classes != known)
    fail("{}: model.classes = {}, but {} has {} (0 takes the data set's)", origin, recipe.model.classes,
         recipe.data.dataset, known);
}

// Shortest decimal that reads back as the same double, with a point or exponent as a TOML float needs.
std::string real(double value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

struct Print {
  std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
  std::string operator()(const int* value) const { return fmt::format("{}", *value); }
  std::string operator()(const int64_t* value) const { return fmt::format("{}", *value); }
  std::string operator()(const double* value) const { return real(*value); }
  std::string operator()(const std::vector<int>* value) const { return fmt::format("[{}]", fmt::join(*value, ", ")); }
  std::string operator()(const std::array<double, 3>* value) const {
    return fmt::format("[{}, {}, {}]", real((*value)[0]), real((*value)[1]), real((*value)[2]));
  }
  std::string operator()(const std::string* value) const {
    std::string quoted = "\"";
    for (const char c : *value) {
      const auto code = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\')
        quoted += {'\\', c};
      else if (code < 0x20 || code == 0x7f)
        quoted += fmt::format("\\u{:04x}", code);
      else
        quoted += c;
    }
    return quoted + '"';
  }
};

}  // namespace

Recipe parse_recipe(std::string_view text, const std::string& origin, const std::vector<std::string>& overrides) {
  Recipe recipe;
  const std::vector<Field> fields = fields_of(recipe);
  try {
    const toml::table table = toml::parse(text, origin);
    read_table(table, fields, "", origin);
  } catch (const toml::parse_error& error) {
    fail("{}:{}: {}", origin, error.source().begin.line, error.description());
  }
  for (const std::string& override_text : overrides) apply_override(fields, override_text);
  check_together(recipe, origin);
  return recipe;
}

Recipe load_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  return parse_recipe(engine::read_text(path), path, overrides);
}

std::string to_toml(const Recipe& recipe) {
  Recipe copy = recipe;
  std::string text, section;
  for (const Field& field : fields_of(copy)) {
    if (field.section() != section) {
      section = field.section();
      text += fmt::format("\n[{}]\n", section);
    }
    const std::string value = std::visit(Print{}, field.target);
    const std::string meaning = field.choices.empty() ? field.help : fmt::format("{}", fmt::join(field.choices, " | "));
    text += fmt::format("{} = {}", field.last(), value);
    if (!meaning.empty()) text += fmt::format("  # {}", meaning);
    text += '\n';
  }
  return text;
}

std::vector<std::string> scale_epochs(Recipe& recipe, int epochs) {
  if (epochs < 1) fail("--epochs {}: must be an integer >= 1", epochs);
  const Recipe before = recipe;
  const auto scaled = [&](int epoch) {
    return static_cast<int>(std::lround(static_cast<double>(epoch) * epochs / before.schedule.epochs));
  };
  recipe.schedule.epochs = epochs;
  for (int& milestone : recipe.schedule.milestones) milestone = scaled(milestone);
  if (recipe.loss.reweight_epoch > 0) recipe.loss.reweight_epoch = scaled(recipe.loss.reweight_epoch);

  std::vector<std::string> changes;
  Recipe old = before;
  const std::vector<Field> from = fields_of(old), to = fields_of(recipe);
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::string a = std::visit(Print{}, from[i].target), b = std::visit(Print{}, to[i].target);
    if (a != b) changes.push_back(fmt::format("{} {} -> {}", to[i].key, a, b));
  }
  return changes;
}

int classes_of(const Recipe& recipe) {
  return recipe.model.classes != 0 ? recipe.model.classes : known_classes(recipe.data.dataset);
}

}  // namespace ride
