#!/bin/sh
set -e
sed "s/@PORT@/$NGINX_PORT/" /etc/nginx/templates/nginx.conf.template > /etc/nginx/nginx.conf
