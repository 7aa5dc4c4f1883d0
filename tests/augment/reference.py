"""The operations as Pillow does them, one image at a time: what the vectorised ones are compared with."""

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


def pillow(name: str, image: np.ndarray, amount: float) -> np.ndarray:
    """One uint8 image (height, width, 3) through Pillow's operation of this name."""
    picture = Image.fromarray(image)
    enhance = {
        "brightness": ImageEnhance.Brightness,
        "contrast": ImageEnhance.Contrast,
        "saturation": ImageEnhance.Color,
        "sharpness": ImageEnhance.Sharpness,
    }
    affine = {
        "shear_x": (1, amount, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, amount, 1, 0),
        "translate_x": (1, 0, int(amount), 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, int(amount)),
    }
    if name in enhance:
        result = enhance[name](picture).enhance(amount)
    elif name in affine:
        result = picture.transform(picture.size, Image.Transform.AFFINE, affine[name])
    else:
        result = {
            "rotate": lambda: picture.rotate(amount),
            "invert": lambda: ImageOps.invert(picture),
            "solarize": lambda: picture.point(lambda value: value if value < amount else 255 - value),
            "posterize": lambda: ImageOps.posterize(picture, int(amount)) if amount else picture.point(lambda _: 0),
            "autocontrast": lambda: ImageOps.autocontrast(picture),
            "equalize": lambda: ImageOps.equalize(picture),
        }[name]()
    return np.asarray(result)
