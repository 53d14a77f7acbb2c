package web

import (
	"embed"
	"net/http"
)

//go:embed assets/index.html assets/app.css assets/*.js assets/icon.svg
var assets embed.FS

// policy lets the page load its own files and nothing else, from nowhere else;
// no inline script, no inline style, no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// page serves the dashboard. It holds no data, so it asks for no token.
func (s *server) page(mux *http.ServeMux) {
	for path, kind := range map[string]string{
		"/{$}": "text/html; charset=utf-8", "/app.css": "text/css; charset=utf-8", "/app.js": "text/javascript; charset=utf-8",
		"/draw.js": "text/javascript; charset=utf-8", "/icon.svg": "image/svg+xml",
	} {
		file := "assets" + path
		if path == "/{$}" {
			file = "assets/index.html"
		}
		data, err := assets.ReadFile(file)
		if err != nil {
			panic("web: embedded file " + file + " is missing") // a broken build
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", kind)
			h.Set("Content-Security-Policy", policy)
			h.Set("X-Frame-Options", "DENY")
			h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
			h.Set("Cache-Control", "no-cache")
			_, _ = w.Write(data)
		})
	}
}
