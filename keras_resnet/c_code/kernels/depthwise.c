/* Convolutions of each channel by itself, with `filters` results of each. */
struct depthwise {
  const int8_t *input;
  int8_t *output;
  const int8_t *weights;
  const int32_t *bias;
  const int32_t *multipliers;
  const int8_t *shifts;
  struct window window;
  int16_t filters;
  int16_t zero, output_zero, least, most;
};

static void depthwise(const struct depthwise *p) {
  const struct window *w = &p->window;
  const int32_t outputs = (int32_t)w->channels * p->filters;
  const int32_t step = (int32_t)w->dilation_x * w->channels, zero = p->zero;
  int8_t *to = p->output;
  for (int32_t y = 0; y < w->output_height; y++) {
    const int32_t top = y * w->stride_y - w->top;
    const struct range rows = inside(top, w->rows, w->dilation_y, w->height);
    for (int32_t x = 0; x < w->output_width; x++) {
      const int32_t left = x * w->stride_x - w->left;
      const struct range columns = inside(left, w->columns, w->dilation_x, w->width);
      for (int32_t output = 0; output < outputs; output++) {
        int32_t sum = p->bias[output];
        for (int32_t row = rows.begin; row < rows.end; row++) {
          const int32_t at = (top + row * w->dilation_y) * w->width + left + columns.begin * w->dilation_x;
          const int8_t *from = p->input + at * w->channels + output / p->filters;
          const int8_t *weights = p->weights + (row * w->columns + columns.begin) * outputs + output;
          for (int32_t left_over = columns.end - columns.begin; left_over > 0; left_over--) {
            sum += (*from - zero) * *weights;
            from += step;
            weights += outputs;
          }
        }
        sum = scaled(sum, p->multipliers[output], p->shifts[output]);
        *to++ = clamped(sum + p->output_zero, p->least, p->most);
      }
    }
  }
}
