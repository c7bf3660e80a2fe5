#include "tests/gui/drawing.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <span>

namespace kappascope::gui::test {
namespace {

std::string colour_text(ImU32 colour) {
  char text[16];
  std::snprintf(text, sizeof text, "#%02x%02x%02x%02x", colour & 0xFF, colour >> 8 & 0xFF,
                colour >> 16 & 0xFF, colour >> 24 & 0xFF);
  return text;
}

// Dear ImGui adds "_" and eight digits to names of parts.
std::string without_hashes(std::string name) {
  constexpr std::size_t kLength = 9;
  for (std::size_t at = 0; (at = name.find('_', at)) != name.npos;) {
    const std::size_t end = name.find_first_not_of("0123456789ABCDEF", at + 1);
    if (std::min(end, name.size()) - at == kLength) {
      name.erase(at, kLength);
    } else {
      ++at;
    }
  }
  return name;
}

std::string place_text(std::initializer_list<float> numbers) {
  std::string text;
  for (const float number : numbers) { text += " " + std::to_string(std::lround(number)); }
  return text;
}

ImU32 alpha(ImU32 colour) {
  return colour >> IM_COL32_A_SHIFT;
}

// Triangles that one call drew: their vertices follow each other, and no others use them.
struct Shape {
  ImVec4 box;  // low x, low y, high x, high y
  ImVec2 low_uv, high_uv;
  unsigned first = 0, last = 0;  // vertices
  ImU32 colour = 0;              // of its most opaque vertex
  // Four corners out of the middle of the texture; rounded corners are among them.
  bool is_glyph() const {
    return last - first == 3 && low_uv.x != high_uv.x && low_uv.y != high_uv.y;
  }
};

void grow(Shape& shape, const ImDrawVert& vertex) {
  shape.box = {std::min(shape.box.x, vertex.pos.x), std::min(shape.box.y, vertex.pos.y),
               std::max(shape.box.z, vertex.pos.x), std::max(shape.box.w, vertex.pos.y)};
  shape.low_uv = {std::min(shape.low_uv.x, vertex.uv.x), std::min(shape.low_uv.y, vertex.uv.y)};
  shape.high_uv = {std::max(shape.high_uv.x, vertex.uv.x), std::max(shape.high_uv.y, vertex.uv.y)};
  if (alpha(vertex.col) > alpha(shape.colour)) { shape.colour = vertex.col; }
}

std::vector<Shape> shapes_of(const ImDrawList& list, const ImDrawCmd& command) {
  std::vector<Shape> shapes;
  for (unsigned i = 0; i < command.ElemCount; i += 3) {
    const ImDrawIdx* corners = list.IdxBuffer.Data + command.IdxOffset + i;
    const auto [least, most] = std::minmax({corners[0], corners[1], corners[2]});
    if (shapes.empty() || least > shapes.back().last) {
      const ImDrawVert& first = list.VtxBuffer[int(least + command.VtxOffset)];
      shapes.push_back(
          {{first.pos.x, first.pos.y, first.pos.x, first.pos.y}, first.uv, first.uv, least, least});
    }
    Shape& shape = shapes.back();
    for (int k = 0; k < 3; ++k) {
      grow(shape, list.VtxBuffer[int(corners[k] + command.VtxOffset)]);
    }
    shape.last = std::max<unsigned>(shape.last, most);
  }
  return shapes;
}

// The number that a word is; false: it is none.
bool is_number(std::string_view word, long& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size();
}

// The next word of a line, which is taken from it.
std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

bool alike(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    const std::string_view left = take_word(a), right = take_word(b);
    long one = 0, other = 0;
    if (left == "|" && right == "|") { return a == b; }
    if (left == right) { continue; }
    if (!is_number(left, one) || !is_number(right, other) || std::abs(one - other) > 1) {
      return false;
    }
  }
  return a.empty() && b.empty();
}

}  // namespace

std::vector<std::string> drawing_of(const ImDrawData& data, const std::vector<DrawnText>& texts,
                                    std::string_view window) {
  std::vector<std::string> lines;
  for (const ImDrawList* list : data.CmdLists) {
    const std::string name = list->_OwnerName ? list->_OwnerName : "";
    if (!name.starts_with(window)) { continue; }
    const std::string shown = without_hashes(name);
    for (const ImDrawCmd& command : list->CmdBuffer) {
      const ImVec4& clip = command.ClipRect;
      for (const Shape& shape : shapes_of(*list, command)) {
        const ImVec4 box = {std::max(shape.box.x, clip.x), std::max(shape.box.y, clip.y),
                            std::min(shape.box.z, clip.z), std::min(shape.box.w, clip.w)};
        if (shape.is_glyph() || box.x >= box.z || box.y >= box.w) { continue; }
        lines.push_back(shown + " shape" + place_text({box.x, box.y, box.z, box.w}) + " " +
                        colour_text(shape.colour));
      }
    }
    for (const DrawnText& text : texts) {
      if (text.list != list) { continue; }
      lines.push_back(shown + " text" + place_text({text.at.x, text.at.y, text.size}) + " " +
                      colour_text(text.colour) + " | " + text.text);
    }
  }
  return lines;
}

std::string difference_of(const std::vector<std::string>& expected,
                          const std::vector<std::string>& found) {
  constexpr int kMost = 12;  // lines that are named
  std::string text;
  int count = 0;
  for (std::size_t i = 0; i < std::max(expected.size(), found.size()) && count < kMost; ++i) {
    const std::string before = i < expected.size() ? expected[i] : "nothing",
                      now = i < found.size() ? found[i] : "nothing";
    if (alike(before, now)) { continue; }
    text +=
        "line " + std::to_string(i + 1) + ": expected " + before + "\n         found " + now + "\n";
    ++count;
  }
  return text;
}

}  // namespace kappascope::gui::test
