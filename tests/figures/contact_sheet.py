"""Puts the PNG files of a folder on one sheet, to be looked at: contact_sheet.py FOLDER SHEET.png"""

import pathlib
import sys

from PIL import Image

GAP = 16


def main(folder, sheet, columns=3, width=640):
    pictures = []
    for path in sorted(pathlib.Path(folder).glob("*.png")):
        picture = Image.open(path).convert("RGB")
        height = round(picture.height * width / picture.width)
        pictures.append(picture.resize((width, height), Image.LANCZOS))
    heights = [GAP] * columns
    places = []
    for picture in pictures:
        column = heights.index(min(heights))
        places.append((GAP + column * (width + GAP), heights[column]))
        heights[column] += picture.height + GAP
    whole = Image.new("RGB", (GAP + columns * (width + GAP), max(heights)), (120, 120, 120))
    for picture, place in zip(pictures, places):
        whole.paste(picture, place)
    whole.save(sheet)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(word) for word in sys.argv[3:]))
