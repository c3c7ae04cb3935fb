/** Error bodies of the Engine API. */

/** Body of every answer with a status of 400 and above. */
export interface ErrorResponse {
  message: string;
}

/** The structured half of an error inside a progress stream. */
export interface ErrorDetail {
  code?: number;
  message?: string;
}
