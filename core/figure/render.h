// Figures as files.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/figure/figure.h"
#include "core/figure/scene.h"
#include "core/figure/text.h"

namespace kappascope {

enum class FigureFormat : std::uint8_t { svg, pdf, eps, png, csv };

std::optional<FigureFormat> figure_format(std::string_view name);  // "svg", …; else nothing
const char* figure_extension(FigureFormat format);                 // "svg"

// The figure as a file of that format shows it, in the colours of the style's theme (`meter` as in
// lay_out), and the file's bytes.
Scene draw_figure(const Figure& figure, const FigureStyle& style, FigureFormat format,
                  TextMeter* meter = nullptr);
std::string picture_bytes(const Scene& scene, const FigureStyle& style, FigureFormat format,
                          const std::string& id);

// The picture as bytes (`meter` as in lay_out): same figure, style and fonts, same bytes. SVG and
// PDF hold one pixel a cell at most (see Outlet), the PNG is width × height × dpi pixels and says
// where it averages cells.
std::string render_svg(const Figure& figure, const FigureStyle& style, TextMeter* meter = nullptr);
std::string render_pdf(const Figure& figure, const FigureStyle& style, TextMeter* meter = nullptr);
std::string render_png(const Figure& figure, const FigureStyle& style, TextMeter* meter = nullptr);

// Writes FOLDER/NAME.svg … and the numbers behind it, NAME.csv (NAME-2.csv … for further tables);
// with the run behind it where several have such files (NAME-RUN.svg, NAME-2-RUN.csv); of bare
// pictures what they left out, NAME.caption.txt; an existing file is replaced in one step. Returns
// the files' names; in `unkept` what a preset asks for and a picture did not keep. Errors: io.
std::vector<std::filesystem::path> write_figure(const Figure& figure, const FigureStyle& style,
                                                const std::vector<FigureFormat>& formats,
                                                const std::filesystem::path& folder,
                                                TextMeter* meter = nullptr,
                                                std::vector<std::string>* unkept = nullptr);
inline constexpr const char* kCaptionEnding = ".caption.txt";

// RFC 4180, UTF-8: a header of names, then rows; NaN is an empty field; numbers are the shortest
// text that reads back to the same value. Texts are JSON strings without their quotes in which
// commas, quotes, control characters and % # { } ^ are \uXXXX: no field is quoted or has a line
// break.
void write_csv(const Table& table, const std::filesystem::path& path);
// The same with tabs between fields and \n behind rows, as spreadsheets paste it: these rows, in
// this order, or all. More than `most` bytes: usage.
std::string tab_separated(const Table& table, std::span<const std::int64_t> rows, std::size_t most);
std::string tab_separated(const Table& table, std::size_t most);

}  // namespace kappascope
