/** Milliseconds at the beginning of each second during which the tone sounds and the box is white. */
export const TICK_MS: number;

/** Draws picture `number` of the test pattern as seen at `now`, milliseconds since 1970. */
export function draw(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, number: number, now: number): void;

/** The clock in the bottom rows of a picture (RGBA) that was `width` wide when it was drawn: milliseconds modulo 2³²; null where there is none, or
 * it is damaged. */
export function readStrip(image: { data: Uint8ClampedArray | Uint8Array; width: number; height: number }): number | null;

/** How old the picture is that an element shows, in milliseconds; null where it shows no test picture. `canvas` is one to work on, kept between calls. */
export function age(shown: HTMLVideoElement | HTMLCanvasElement, canvas: OffscreenCanvas): number | null;
