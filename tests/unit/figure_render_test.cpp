#include "core/figure/render.h"

#include <cairo.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>

#include "core/error.h"
#include "core/figure/png.h"
#include "expect_error.h"
#include "figure_fixture.h"
#include "trace_fixture.h"

namespace kappascope {
namespace {

std::uint32_t u32(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

TEST(Render, SameFigureSameBytes) {
  for (const Figure& figure : {mark_figure(), cell_figure(28, 900, ColourKind::diverging),
                               cell_figure(3, 7, ColourKind::categorical)}) {
    EXPECT_EQ(render_svg(figure, {}), render_svg(figure, {}));
    EXPECT_EQ(render_pdf(figure, {}), render_pdf(figure, {}));
    EXPECT_EQ(render_png(figure, {}), render_png(figure, {}));
  }
}

TEST(Render, PngHasExactlyThePixelsOfItsMillimetres) {
  FigureStyle style;
  style.width_mm = 85;
  style.height_mm = 60;
  const std::string png =
      render_png(mark_figure(), {.width_mm = 127, .height_mm = 100, .dpi = 200});
  ASSERT_EQ(png.substr(1, 3), "PNG");
  EXPECT_EQ(u32(png, 16), 1000u);  // 127 mm are 5 inches
  EXPECT_EQ(u32(png, 20), 787u);
  const std::size_t resolution = png.find("pHYs");
  ASSERT_NE(resolution, std::string::npos);
  EXPECT_EQ(u32(png, resolution + 4), 7874u);  // pixels a metre
  EXPECT_THROW(render_png(mark_figure(), {.width_mm = 2000, .dpi = 3000}), Error);
}

// 0xAARRGGBB, as cairo reads it.
std::vector<std::uint32_t> pixels_of(std::string png) {
  const auto read = [](void* from, unsigned char* to, unsigned size) {
    auto& rest = *static_cast<std::string*>(from);
    if (rest.size() < size) { return CAIRO_STATUS_READ_ERROR; }
    std::copy_n(rest.begin(), size, to);
    rest.erase(0, size);
    return CAIRO_STATUS_SUCCESS;
  };
  const std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)> surface(
      cairo_image_surface_create_from_png_stream(read, &png), &cairo_surface_destroy);
  EXPECT_EQ(cairo_surface_status(surface.get()), CAIRO_STATUS_SUCCESS);
  const std::size_t width = cairo_image_surface_get_width(surface.get());
  std::vector<std::uint32_t> pixels;
  for (int y = 0; y < cairo_image_surface_get_height(surface.get()); ++y) {
    const auto* row =
        reinterpret_cast<const std::uint32_t*>(cairo_image_surface_get_data(surface.get()) +
                                               y * cairo_image_surface_get_stride(surface.get()));
    pixels.insert(pixels.end(), row, row + width);
  }
  return pixels;
}

TEST(Render, PngHasTheColoursOfTheFigure) {
  const Figure figure = cell_figure(3, 7, ColourKind::categorical);
  const auto opaque = pixels_of(render_png(figure, {.width_mm = 60, .dpi = 100}));
  const auto clear =
      pixels_of(render_png(figure, {.width_mm = 60, .dpi = 100, .transparent = true}));
  ASSERT_EQ(opaque.size(), clear.size());
  EXPECT_EQ(opaque[0], 0xFFFFFFFFU);
  EXPECT_EQ(clear[0], 0U);
  for (int k = 0; k < 4; ++k) {
    const Colour colour = palette_colour(k);
    const std::uint32_t word = 0xFF000000U | std::uint32_t(colour.red) << 16 |
                               std::uint32_t(colour.green) << 8 | colour.blue;
    EXPECT_GT(std::count(opaque.begin(), opaque.end(), word), 20) << k;
    EXPECT_GT(std::count(clear.begin(), clear.end(), word), 20) << k;
  }
}

TEST(Render, PdfIsOnePageWithEmbeddedFontsAndNoDate) {
  const std::string pdf = render_pdf(mark_figure(), {});
  EXPECT_EQ(pdf.substr(0, 5), "%PDF-");
  EXPECT_NE(pdf.find("/FontFile2"), std::string::npos);
  EXPECT_NE(pdf.find("DejaVuSans"), std::string::npos);
  EXPECT_NE(pdf.find("19700101"), std::string::npos);
  EXPECT_NE(pdf.find("\n% kappascope\n"), std::string::npos);  // the program may replace it
}

TEST(Render, PicturesOfCellsAreNotSmoothed) {
  const std::string pdf = render_pdf(cell_figure(30, 900, ColourKind::sequential), {});
  EXPECT_NE(pdf.find("/Width 900"), std::string::npos);
  EXPECT_NE(pdf.find("/Height 30"), std::string::npos);
  EXPECT_EQ(pdf.find("/Interpolate true"), std::string::npos);
}

TEST(PalettePng, StopsWhereItWouldBeTooLarge) {
  const std::vector<Colour> palette = {{0, 0, 0}, {255, 255, 255}};
  std::mt19937 random(3);
  const auto noise = [&](std::int64_t, std::span<std::uint8_t> pixels) {
    for (auto& pixel : pixels) { pixel = static_cast<std::uint8_t>(random() & 1); }
  };
  EXPECT_TRUE(palette_png(200, 200, palette, noise, 1000).empty());
  EXPECT_FALSE(palette_png(200, 200, palette, noise, 1000000).empty());
}

TEST(Base64, KnownVectors) {  // RFC 4648 §10
  const std::pair<const char*, const char*> cases[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : cases) { EXPECT_EQ(base64(bytes), text); }
}

TEST(Csv, FollowsRfc4180AndKeepsEveryBit) {
  const trace_test::TempFolder folder;
  Table table;
  table.rows = 4;
  table.columns = {{"layer", std::vector<std::int64_t>{2, 5}, 2},
                   {"token", std::vector<std::string>{"a,\"b\"", " c\nd\\%κ"}},
                   {"nll", std::vector<float>{0.1f, std::nanf(""), 3e-9f, -1}},
                   {"x", std::vector<double>{1.0 / 3, 1e300, 0, INFINITY}}};
  write_csv(table, folder / "t.csv");
  EXPECT_EQ(trace_test::read_bytes(folder / "t.csv"),
            "layer,token,nll,x\r\n"
            "2,a\\u002c\\u0022b\\u0022,0.1,0.3333333333333333\r\n"
            "2, c\\nd\\\\\\u0025κ,,1e+300\r\n"
            "5,a\\u002c\\u0022b\\u0022,3e-09,0\r\n"
            "5, c\\nd\\\\\\u0025κ,-1,inf\r\n");
}

TEST(TabSeparated, IsWhatASpreadsheetPastes) {
  Table table;
  table.rows = 4;
  table.columns = {{"layer", std::vector<std::int64_t>{2, 5}, 2},
                   {"token", std::vector<std::string>{"a\tb", "\"c\"", "d\ne", "f; \u2028g"}},
                   {"nll", std::vector<float>{0.1f, std::nanf(""), -1, 3e-9f}},
                   {"none", std::vector<double>{}}};
  const std::string text =
      "layer\ttoken\tnll\tnone\n"
      "2\ta\\tb\t0.1\t\n"
      "2\t\\u0022c\\u0022\t\t\n"
      "5\td\\ne\t-1\t\n"
      "5\tf; \\u2028g\t3e-09\t\n";
  EXPECT_EQ(tab_separated(table, text.size()), text);
  EXPECT_EQ(testing::error_of([&] { tab_separated(table, text.size() - 1); }),
            "2 the table of 4 rows is too large to copy; export it as CSV");
  table.rows = 0;
  EXPECT_EQ(tab_separated(table, 1000), "layer\ttoken\tnll\tnone\n");
}

TEST(WriteFigure, ReplacesFilesAndNamesThem) {
  const trace_test::TempFolder folder;
  Figure figure = mark_figure();
  figure.tables.resize(2);
  const std::vector<FigureFormat> formats = {FigureFormat::svg, FigureFormat::csv};
  for (int round = 0; round < 2; ++round) {
    const auto written = write_figure(figure, {}, formats, folder / "");
    ASSERT_EQ(written.size(), 3u);
    EXPECT_EQ(written[2].filename(), "marks-2.csv");
    for (const auto& path : written) { EXPECT_TRUE(std::filesystem::exists(path)); }
  }
  EXPECT_THROW(write_figure(figure, {}, formats, folder / "not" / "there"), Error);
  EXPECT_EQ(figure_format("pdf"), FigureFormat::pdf);
  EXPECT_FALSE(figure_format("gif"));
}

}  // namespace
}  // namespace kappascope
